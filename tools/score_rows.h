// Scored texts as rows of a table (TSV, CSV) or as lines of JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/measure/part_scores.h"
#include "tools/score_columns.h"
#include "tools/score_record.h"

namespace gpt2 {

enum class ScoreFormat { tsv, csv, jsonl };

struct ScoreRowsOptions {
  ScoreFormat format = ScoreFormat::tsv;
  TextUnit unit = TextUnit::document;
  LogBase base = LogBase::e;
  std::vector<ScoreColumn> columns;
};

class ScoreRows {
 public:
  // `tokenizer` outlives it.
  ScoreRows(ScoreRowsOptions options, const Tokenizer& tokenizer)
      : options_(std::move(options)), tokenizer_(tokenizer) {}

  // Returns the line with the names of the columns; none for JSON.
  std::string header() const;
  // Returns the rows of a text: one for each of its parts; in JSON one object of all, in which the values of parts
  // are arrays (of a document: values).
  std::string rows(const ScoreRecord& record, const ScoredText& text) const;
  // Returns what stands in the place of a record that failed: a row without values, an object with the error.
  std::string failure(const ScoreRecord& record) const;

 private:
  std::string table_rows(const ScoreRecord& record, const ScoredText& text, std::span<const TextPart> parts,
                         std::span<const PartScore> scores) const;
  std::string object(const ScoreRecord& record, const ScoredText& text, std::span<const TextPart> parts,
                     std::span<const PartScore> scores) const;
  std::string text_cell(std::string_view text) const;

  ScoreRowsOptions options_;
  const Tokenizer& tokenizer_;
};

// Returns a text as a cell of TSV: control characters, backslashes and bytes that are no UTF-8 escaped.
std::string tsv_cell(std::string_view text);
// Returns a text as a cell of CSV (RFC 4180), in quotes where it needs them; bytes that are no UTF-8 become U+FFFD.
std::string csv_cell(std::string_view text);

}  // namespace gpt2
