// Texts as they are looked at: tokens in whole characters, and the columns that a character takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/text/text_parts.h"

namespace gpt2 {

// Returns each token's text in whole characters: one that several tokens make stands in the first of them. Bytes that
// are no UTF-8 are U+FFFD.
std::vector<std::string> shown_tokens(const WrittenText& text);

// Returns the columns of a terminal that a code point takes: 0 for marks that stand on another and for what is not
// seen, 2 for wide ones (East Asian Width of Unicode 15, in whole blocks), else 1.
uint32_t display_width(uint32_t code_point);

}  // namespace gpt2
