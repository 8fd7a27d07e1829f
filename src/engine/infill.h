// Filling in the middle: a prompt of the texts before and behind a gap, for models that were taught to write what
// stands in it (Bavarian et al. 2022, "prefix, suffix, middle").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/model/model.h"

namespace gpt2 {

struct Gap {
  std::string prefix, suffix;  // the texts before and behind it
};

// Returns the tokens behind which the model writes the middle: what stands before every text, fim_prefix, the prefix,
// fim_suffix, the suffix without a space put before it, fim_middle. Throws Error (exit 3) naming the tokens that the
// model lacks.
std::vector<TokenId> infill_prompt(const Model& model, const Gap& gap, Specials specials);

// Returns the texts of the tokens that end a middle beside the model's own end of text.
std::vector<std::string> infill_ends(const Model& model);

// Returns the text that a model writes behind `prompt`: the first space belongs to it where it goes on in a gap.
TokenText text_behind(const Model& model, std::span<const TokenId> prompt);

}  // namespace gpt2
