#include "tools/score_columns.h"

#include <algorithm>

namespace gpt2 {
namespace {

struct Description {
  ScoreColumn column;
  std::string_view name, meaning;
};

constexpr Description kColumns[] = {
    {ScoreColumn::id, "id", "the record's id, or a file's name"},
    {ScoreColumn::index, "index", "of the text in the input, from 0"},
    {ScoreColumn::part, "part", "of the line, word or token in its text, from 0"},
    {ScoreColumn::begin, "begin", "its first byte in the text, from 0"},
    {ScoreColumn::end, "end", "the byte behind its last"},
    {ScoreColumn::text, "text", "its text"},
    {ScoreColumn::tokens, "tokens", "the ids of its tokens"},
    {ScoreColumn::n_tokens, "n_tokens", "how many of its tokens are scored"},
    {ScoreColumn::surprisal, "surprisal", "the sum of -log p over them"},
    {ScoreColumn::cumulative, "cumulative", "the same from the text's beginning to its end"},
    {ScoreColumn::perplexity, "perplexity", "the base to the power of surprisal / n_tokens"},
    {ScoreColumn::probability, "probability", "the product of p"},
    {ScoreColumn::entropy, "entropy", "the sum of the entropies of what could have stood in its tokens' places"},
    {ScoreColumn::rank, "rank",
     "1 where its token is the most likely, 2 where it is the second; the largest of its tokens"},
    {ScoreColumn::best, "best", "the text of the most likely token in its place (of tokens only)"},
    {ScoreColumn::best_probability, "best_probability", "how likely that is (of tokens only)"},
    {ScoreColumn::is_greedy, "is_greedy", "whether each of its tokens is the most likely one"},
};

const Description* find_column(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kColumns), std::end(kColumns), [&](const Description& one) { return one.name == name; });
  return found == std::end(kColumns) ? nullptr : found;
}

}  // namespace

std::string_view name_of(ScoreColumn column) { return kColumns[static_cast<size_t>(column)].name; }

std::vector<ScoreColumn> default_columns(TextUnit unit) {
  using enum ScoreColumn;
  switch (unit) {
    case TextUnit::document: return {id, n_tokens, surprisal, perplexity};
    case TextUnit::line: return {id, part, n_tokens, surprisal, perplexity, text};
    case TextUnit::word: return {id, text, n_tokens, surprisal};
    case TextUnit::token: return {id, tokens, text, surprisal, best, best_probability};
  }
  return {};
}

bool needs_distribution(std::span<const ScoreColumn> columns) {
  return std::any_of(columns.begin(), columns.end(), [](ScoreColumn column) {
    return column == ScoreColumn::entropy || column == ScoreColumn::rank;
  });
}

bool is_of_tokens(ScoreColumn column) {
  return column == ScoreColumn::best || column == ScoreColumn::best_probability;
}

OptionValue columns_value(std::vector<ScoreColumn>& out) {
  std::string names;
  for (const Description& one : kColumns) names += (names.empty() ? "" : ", ") + std::string(one.name);
  OptionValue value;
  value.metavar = "NAMES";
  value.expected = "names of columns with commas between them, each once (" + names + ")";
  value.set = [&out](std::string_view text) {
    out.clear();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      const Description* const found = find_column(text.substr(begin, end - begin));
      if (found == nullptr || std::find(out.begin(), out.end(), found->column) != out.end()) return false;
      out.push_back(found->column);
      begin = end + 1;
    }
    return true;
  };
  return value;
}

std::string columns_help() {
  std::string help;
  for (const Description& one : kColumns) {
    help += (help.empty() ? "" : "; ") + std::string(one.name) + ": " + std::string(one.meaning);
  }
  return help;
}

}  // namespace gpt2
