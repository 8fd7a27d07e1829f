// Where the text is cut before byte-pair merging: the rules of GPT-2 and of its successors. Written by hand, one pass,
// no regular expression.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gpt2 {

// Classes of Unicode 15: \p{L}, \p{N}, White_Space (as Python's and Rust's regex \s), anything else. Bytes that are not
// UTF-8 count as `other`, one byte at a time.
enum class CharClass : uint8_t { other, letter, number, space };
CharClass char_class(uint32_t code_point);
// Returns whether it is in \w of Unicode's expressions (UTS 18): alphabetic, mark, decimal digit, connector, joiner.
bool is_word_char(uint32_t code_point);

// Which rule a tokenizer cuts by. The names are part of the file format.
//   gpt2         's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   gpt2_digits  each \p{N} alone, then GPT-2's rule on what stands between them (StarCoder, SmolLM)
//   llama3       (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//                ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+   (the last line follows the first)
//   qwen2        llama3's with \p{N} in place of \p{N}{1,3}
enum class SplitRule : uint8_t { gpt2, gpt2_digits, llama3, qwen2 };
std::string_view name_of(SplitRule rule);

// Returns the length in bytes (> 0) of the piece at the start of `text`, which has at least one byte, of any kind.
// O(length of the piece, or of the white space that it begins).
size_t next_piece(std::string_view text, SplitRule rule = SplitRule::gpt2);

}  // namespace gpt2
