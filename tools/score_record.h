// One text of an input that is scored: a line, a JSON object or a whole file becomes tokens, and says which of them
// only stand before the text; or the reason why not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/model/model.h"
#include "tools/record_text.h"

namespace gpt2 {

struct ScoreRecord {
  uint64_t index = 0;           // in the whole input, from 0
  std::string id, name;         // as JSON, and as text
  std::vector<int32_t> tokens;  // of what stands before the text, then of the text
  size_t n_before = 0;          // the first of them, which are not scored: the beginning-of-text token, a prefix
  bool has_prefix = false;
  uint64_t made_from = 0;       // made_from.h
  std::optional<RecordFailure> failure;
};

class ScoreParser {
 public:
  enum class Bos { automatic, yes, no };
  // `model` outlives the parser. Throws Error (exit 4) for a beginning-of-text token that the model does not have.
  ScoreParser(const Model& model, Bos bos, Specials specials);

  // Returns the record of a line. Never throws for what stands in it: that is its failure. `source` names the input in
  // messages.
  ScoreRecord parse(std::string_view line, RecordFormat format, std::string_view source, RecordPlace place) const;
  // Returns the record of a whole text.
  ScoreRecord document(std::string_view text, std::string_view name, uint64_t index) const;
  // Returns the record of a place whose text is none.
  static ScoreRecord failed(RecordPlace place, const std::string& message);

 private:
  void read_object(std::string_view line, ScoreRecord& record) const;
  void set_text(std::string_view text, ScoreRecord& record) const;
  void begin(ScoreRecord& record, const std::string* prefix) const;

  const Model& model_;
  Specials specials_;
  std::vector<int32_t> start_;  // what stands before every text
};

}  // namespace gpt2
