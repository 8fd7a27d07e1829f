// Where the texts that are scored come from: whole files, or the records in them, one after the other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/record_lines.h"
#include "tools/score_record.h"

namespace gpt2 {

class ScoreInput {
 public:
  // `files`: at least one ("-": stdin). Without a format each is one text. `parser` outlives the input.
  ScoreInput(std::vector<std::string> files, std::optional<RecordFormat> format, Shard shard,
             const ScoreParser& parser);

  enum class Got { record, nothing, end };  // nothing: none is there yet, or a signal came first
  // Reads the next text that is the shard's. `line` becomes what it was read from, as far as it is a line of its input.
  // Throws Error: exit 1 for a file that cannot be read, exit 4 for a whole file that is no text.
  Got next(ScoreRecord& record, std::string& line, LineReader::Wait wait);

 private:
  Got next_document(ScoreRecord& record);

  std::vector<std::string> files_;
  std::optional<RecordFormat> format_;
  Shard shard_;
  const ScoreParser& parser_;
  size_t next_file_ = 0;
  uint64_t next_index_ = 0;
  std::unique_ptr<LineReader> reader_;
  std::optional<RecordLines> lines_;
};

}  // namespace gpt2
