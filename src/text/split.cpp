#include "src/text/split.h"

#include <algorithm>

#include "src/text/unicode_tables.h"
#include "src/text/utf8.h"

namespace gpt2 {

CharClass char_class(uint32_t c) {
  if (c < 0x80) {
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return CharClass::letter;
    if (c >= '0' && c <= '9') return CharClass::number;
    return c == ' ' || (c >= '\t' && c <= '\r') ? CharClass::space : CharClass::other;
  }
  const auto after = std::upper_bound(kUnicodeClasses.begin(), kUnicodeClasses.end(), c,
                                      [](uint32_t value, const ClassRange& range) { return value < range.first; });
  if (after == kUnicodeClasses.begin()) return CharClass::other;
  const ClassRange& range = *(after - 1);
  return c <= range.last ? range.kind : CharClass::other;
}

bool is_word_char(uint32_t c) {
  const auto after = std::upper_bound(kWordChars.begin(), kWordChars.end(), c,
                                      [](uint32_t value, const WordRange& range) { return value < range.first; });
  return after != kWordChars.begin() && c <= (after - 1)->last;
}

namespace {

struct Char {
  CharClass kind = CharClass::other;
  size_t length = 0;  // 0 at the end of the text
};

Char char_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  const CodePoint c = decode_utf8(text.substr(at));
  return {c.valid ? char_class(c.value) : CharClass::other, c.length};
}

// 's 't 're 've 'm 'll 'd
size_t contraction(std::string_view text) {
  for (const std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(suffix)) return suffix.size();
  }
  return 0;
}

// End of the run of `kind` that starts at `at`.
size_t run_end(std::string_view text, size_t at, CharClass kind) {
  for (Char c = char_at(text, at); c.length > 0 && c.kind == kind; c = char_at(text, at)) at += c.length;
  return at;
}

// \s+(?!\S)|\s+: white space up to its last character, which is left for the word behind it unless it is all there is.
size_t space_piece(std::string_view text) {
  size_t end = 0, last = 0;
  for (Char c = char_at(text, 0); c.length > 0 && c.kind == CharClass::space; c = char_at(text, end)) {
    last = end;
    end += c.length;
  }
  return end == text.size() || last == 0 ? end : last;
}

}  // namespace

size_t next_piece(std::string_view text) {
  if (const size_t length = contraction(text); length > 0) return length;
  const size_t start = text[0] == ' ' ? 1 : 0;
  const Char first = char_at(text, start);
  if (first.length > 0 && first.kind != CharClass::space) return run_end(text, start, first.kind);
  return space_piece(text);
}

}  // namespace gpt2
