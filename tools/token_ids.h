// Token ids as text: "1 2 3", "1,2,3" or "[1, 2, 3]".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/tokenizer.h"

namespace gpt2 {

// Returns ids that are separated by spaces, newlines or commas, with or without brackets around them all. Throws Error
// (exit 4) that starts with `what` and names the word that is no whole number below n_vocab.
std::vector<TokenId> parse_token_ids(std::string_view text, uint32_t n_vocab, std::string_view what);

std::string join_token_ids(std::span<const TokenId> ids, std::string_view separator);

}  // namespace gpt2
