#include "tools/score_rows.h"

#include <array>
#include <charconv>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/portable_math.h"
#include "src/io/json.h"
#include "src/text/utf8.h"
#include "tools/escapes.h"
#include "tools/result_file.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

// The value of a column for one part. A cell without a value is empty, and null in JSON.
class Values {
 public:
  Values(const ScoreRecord& record, const ScoredText& text, LogBase base, const Tokenizer& tokenizer)
      : record_(record), text_(text), base_(base), tokenizer_(tokenizer) {}

  enum class Kind { none, number, text, list };
  // Writes the value as it stands in a table, without quotes or escapes, into `out`.
  Kind get(ScoreColumn column, size_t index, const TextPart& part, const PartScore& score, std::string& out) const {
    const auto number = [&](auto value) {
      std::array<char, 40> digits;
      out.assign(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
      return Kind::number;
    };
    const auto string = [&](std::string_view value) {
      out = value;
      return Kind::text;
    };
    out.clear();
    const bool unknown = score.n_scored == 0 && part.end_token > part.first_token;
    switch (column) {
      case ScoreColumn::id: out = record_.name; return record_.id.starts_with('"') ? Kind::text : Kind::number;
      case ScoreColumn::index: return number(record_.index);
      case ScoreColumn::part: return number(index);
      case ScoreColumn::begin: return number(part.begin);
      case ScoreColumn::end: return number(part.end);
      case ScoreColumn::text: {
        const std::string_view text = text_.written.text;
        return string(text.substr(part.begin, part.end - part.begin));
      }
      case ScoreColumn::tokens:
        out = join_token_ids(std::span(record_.tokens).subspan(record_.n_before + part.first_token,
                                                               part.end_token - part.first_token), " ");
        return Kind::list;
      case ScoreColumn::n_tokens: return number(score.n_scored);
      case ScoreColumn::surprisal: return unknown ? Kind::none : number(score.surprisal);
      case ScoreColumn::cumulative: return number(score.cumulative);
      case ScoreColumn::perplexity:
        return score.n_scored == 0 ? Kind::none
                                   : number(power_of(base_, score.surprisal / static_cast<double>(score.n_scored)));
      case ScoreColumn::probability: return unknown ? Kind::none : number(power_of(base_, -score.surprisal));
      case ScoreColumn::entropy: return unknown ? Kind::none : number(score.entropy);
      case ScoreColumn::rank: return score.rank == 0 ? Kind::none : number(score.rank);
      case ScoreColumn::best: return unknown ? Kind::none : string(tokenizer_.token_bytes(best_of(part).token));
      case ScoreColumn::best_probability: return unknown ? Kind::none : number(portable_exp(best_of(part).logprob));
      case ScoreColumn::is_greedy:
        if (unknown) return Kind::none;
        out = score.is_greedy ? "true" : "false";
        return Kind::number;
    }
    return Kind::none;
  }

 private:
  const TokenLogprob& best_of(const TextPart& part) const { return text_.scores[part.first_token].best; }

  const ScoreRecord& record_;
  const ScoredText& text_;
  LogBase base_;
  const Tokenizer& tokenizer_;
};

std::string valid_utf8(std::string_view text) {
  std::string valid;
  Utf8Stream stream(InvalidUtf8::replace);
  stream.push(text, valid);
  stream.finish(valid);
  return valid;
}

}  // namespace

std::string tsv_cell(std::string_view text) {
  std::string cell;
  for (size_t begin = 0, at = 0; begin < text.size();) {
    while (at < text.size() && utf8_sequence_length(text.substr(at)) > 0) at += utf8_sequence_length(text.substr(at));
    cell += escaped_line(text.substr(begin, at - begin));
    for (; at < text.size() && utf8_sequence_length(text.substr(at)) == 0; ++at) append_escaped_byte(text[at], cell);
    begin = at;
  }
  return cell;
}

std::string csv_cell(std::string_view text) {
  std::string cell = valid_utf8(text);
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  for (size_t at = cell.find('"'); at != std::string::npos; at = cell.find('"', at + 2)) cell.insert(at, 1, '"');
  return "\"" + cell + "\"";
}

std::string ScoreRows::text_cell(std::string_view text) const {
  return options_.format == ScoreFormat::csv ? csv_cell(text) : tsv_cell(text);
}

std::string ScoreRows::header() const {
  if (options_.format == ScoreFormat::jsonl) return "";
  std::string line;
  for (const ScoreColumn column : options_.columns) {
    if (!line.empty()) line += options_.format == ScoreFormat::csv ? ',' : '\t';
    line += name_of(column);
  }
  return line + "\n";
}

std::string ScoreRows::rows(const ScoreRecord& record, const ScoredText& text) const {
  const std::vector<TextPart> parts = parts_of(text.written, options_.unit);
  const std::vector<PartScore> scores = score_parts(text, parts, options_.base);
  return options_.format == ScoreFormat::jsonl ? object(record, text, parts, scores)
                                               : table_rows(record, text, parts, scores);
}

std::string ScoreRows::table_rows(const ScoreRecord& record, const ScoredText& text, std::span<const TextPart> parts,
                                  std::span<const PartScore> scores) const {
  const Values values(record, text, options_.base, tokenizer_);
  std::string rows, cell;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t column = 0; column < options_.columns.size(); ++column) {
      if (column > 0) rows += options_.format == ScoreFormat::csv ? ',' : '\t';
      const Values::Kind kind = values.get(options_.columns[column], i, parts[i], scores[i], cell);
      rows += kind == Values::Kind::text ? text_cell(cell) : cell;
    }
    rows += '\n';
  }
  return rows;
}

std::string ScoreRows::object(const ScoreRecord& record, const ScoredText& text, std::span<const TextPart> parts,
                              std::span<const PartScore> scores) const {
  const Values values(record, text, options_.base, tokenizer_);
  const bool is_list = options_.unit != TextUnit::document;
  std::string line = "{\"id\":" + record.id + ",\"index\":" + std::to_string(record.index) + ",\"unit\":\"" +
                     std::string(name_of(options_.unit)) + "\"";
  std::string value;
  for (const ScoreColumn column : options_.columns) {
    if (column == ScoreColumn::id || column == ScoreColumn::index) continue;
    line += ",\"" + std::string(name_of(column)) + "\":";
    if (is_list) line += '[';
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) line += ',';
      switch (values.get(column, i, parts[i], scores[i], value)) {
        case Values::Kind::none: line += "null"; break;
        case Values::Kind::number: line += value; break;
        case Values::Kind::text: line += json_quote(value); break;
        case Values::Kind::list:
          for (char& c : value) c = c == ' ' ? ',' : c;
          line += options_.unit == TextUnit::token ? value : "[" + value + "]";
          break;
      }
    }
    if (is_list) line += ']';
  }
  return line + ",\"made_from\":\"" + hex64(record.made_from) + "\"}\n";
}

std::string ScoreRows::failure(const ScoreRecord& record) const {
  if (options_.format == ScoreFormat::jsonl)
    return failure_object({record.index, record.id, record.made_from}, *record.failure);
  std::string row;
  for (size_t i = 0; i < options_.columns.size(); ++i) {
    if (i > 0) row += options_.format == ScoreFormat::csv ? ',' : '\t';
    if (options_.columns[i] == ScoreColumn::id) row += text_cell(record.name);
    if (options_.columns[i] == ScoreColumn::index) row += std::to_string(record.index);
  }
  return row + "\n";
}

}  // namespace gpt2
