// The columns of what `score` prints: their names, and what each needs to be computed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/text_parts.h"
#include "tools/options.h"

namespace gpt2 {

enum class ScoreColumn : uint8_t {
  id, index, part, begin, end, text, tokens, n_tokens, surprisal, cumulative, perplexity, probability, entropy, rank,
  best, best_probability, is_greedy
};
std::string_view name_of(ScoreColumn column);

// Returns the columns that a unit has where none are chosen.
std::vector<ScoreColumn> default_columns(TextUnit unit);

// Returns whether any of them needs the whole distribution of a token: entropy or rank.
bool needs_distribution(std::span<const ScoreColumn> columns);
// Returns whether the column is one of tokens and of nothing longer.
bool is_of_tokens(ScoreColumn column);

// Returns the value of --columns: names with commas between them, each once.
OptionValue columns_value(std::vector<ScoreColumn>& out);
// Returns what each column is, for the help.
std::string columns_help();

}  // namespace gpt2
