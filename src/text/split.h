// GPT-2's split rule: where the text is cut before byte-pair merging. Written by hand, one pass, no regular expression:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gpt2 {

// Classes of Unicode 15: \p{L}, \p{N}, White_Space (as Python's and Rust's regex \s), anything else. Bytes that are not
// UTF-8 count as `other`, one byte at a time.
enum class CharClass : uint8_t { other, letter, number, space };
CharClass char_class(uint32_t code_point);
// \w of Unicode's regular expressions (UTS 18): alphabetic, marks, decimal digits, connectors, joiners.
bool is_word_char(uint32_t code_point);

// Length in bytes (> 0) of the piece at the start of the non-empty `text`. Total: any bytes; O(length of the piece).
size_t next_piece(std::string_view text);

}  // namespace gpt2
