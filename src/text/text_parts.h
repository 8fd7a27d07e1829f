// The parts of a text that a figure can be of: the whole text, its lines, its words, its tokens. Which bytes each part
// shows, and which tokens belong to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/tokenizer.h"

namespace gpt2 {

enum class TextUnit : uint8_t { document, line, word, token };
std::string_view name_of(TextUnit unit);

// A text as its tokens write it.
struct WrittenText {
  std::string text;
  std::vector<size_t> begins;   // [n_tokens + 1] where each token's bytes begin, and the end
  std::vector<char> is_special; // [n_tokens]

  size_t n_tokens() const noexcept { return is_special.size(); }
  std::string_view token(size_t i) const { return std::string_view(text).substr(begins[i], begins[i + 1] - begins[i]); }
};

// Returns the text of `tokens` that stand behind the tokens `before`; of none where the text begins with `tokens`.
WrittenText written_text(const Tokenizer& tokenizer, std::span<const TokenId> before, std::span<const TokenId> tokens);

struct TextPart {
  size_t begin = 0, end = 0;              // the bytes that it shows
  size_t first_token = 0, end_token = 0;  // its tokens: [first_token, end_token)
};

// Returns the parts in order; every token belongs to one. A token that stands on both sides of a border belongs where
// its first byte is.
//   document  one, even of no tokens
//   line      shown without its end (LF or CRLF)
//   word      what white space separates (ASCII, as count_words() counts), shown without it; the white space before a
//             word belongs to it, that at the end of the text is a part of its own. A special token is a word
std::vector<TextPart> parts_of(const WrittenText& text, TextUnit unit);

// Returns whether a byte is white space between words: a space, a tab or a line end of ASCII.
constexpr bool separates_words(char byte) noexcept { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

}  // namespace gpt2
