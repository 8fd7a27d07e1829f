// The lines of an input of many records that are this run's to do: which is next, and where it stands.
#pragma once

#include <string>

#include "tools/line_reader.h"
#include "tools/record_text.h"

namespace gpt2 {

// The records whose index is `first` modulo `step`.
struct Shard {
  uint64_t first = 0, step = 1;
};

class RecordLines {
 public:
  // `input` outlives it. Its first record has this index.
  RecordLines(LineReader& input, RecordFormat format, Shard shard, uint64_t first_index = 0)
      : input_(input), format_(format), shard_(shard), next_{first_index, 1} {}

  // Reads the next line that is a record of the shard into `line`, as LineReader::next() does, and says where it
  // stands. Blank lines of JSONL are none.
  LineReader::Got next(std::string& line, LineReader::Wait wait, RecordPlace& place);
  // Returns the index of the record behind the last one.
  uint64_t next_index() const noexcept { return next_.index; }

 private:
  LineReader& input_;
  RecordFormat format_;
  Shard shard_;
  RecordPlace next_;
};

}  // namespace gpt2
