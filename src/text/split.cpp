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

// The same in either case. U+017F, the long s, is an s of the other case to the engine that runs the published pattern.
size_t contraction_of_any_case(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  if (text.substr(1).starts_with("\xC5\xBF")) return 3;
  char lower[3];
  const size_t n = std::min(text.size(), sizeof lower);
  for (size_t i = 0; i < n; ++i)
    lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
  return contraction({lower, n});
}

bool is_line_end(char c) { return c == '\r' || c == '\n'; }

// End of the run of `kind` that starts at `at`.
size_t run_end(std::string_view text, size_t at, CharClass kind) {
  for (Char c = char_at(text, at); c.length > 0 && c.kind == kind; c = char_at(text, at)) at += c.length;
  return at;
}

// \s+(?!\S)|\s+: white space up to its last character, which is left for the word behind it unless it is all there is.
// Where digits stand alone a number ends the text that the rule sees.
size_t space_piece(std::string_view text, SplitRule rule) {
  size_t end = 0, last = 0;
  Char c = char_at(text, 0);
  for (; c.length > 0 && c.kind == CharClass::space; c = char_at(text, end)) {
    last = end;
    end += c.length;
  }
  const bool at_end = c.length == 0 || (rule == SplitRule::gpt2_digits && c.kind == CharClass::number);
  return at_end || last == 0 ? end : last;
}

size_t gpt2_piece(std::string_view text, SplitRule rule) {
  const bool lone_digits = rule == SplitRule::gpt2_digits;
  if (lone_digits) {
    if (const Char c = char_at(text, 0); c.kind == CharClass::number) return c.length;
  }
  if (const size_t length = contraction(text); length > 0) return length;
  const size_t start = text[0] == ' ' ? 1 : 0;
  const Char first = char_at(text, start);
  const bool ends = first.length == 0 || (lone_digits && first.kind == CharClass::number);
  if (!ends && first.kind != CharClass::space) return run_end(text, start, first.kind);
  return space_piece(text, rule);
}

// [^\r\n\p{L}\p{N}]?\p{L}+, 0 where no letter stands.
size_t letters_piece(std::string_view text, const Char& first) {
  if (first.kind == CharClass::letter) return run_end(text, 0, CharClass::letter);
  if (first.kind == CharClass::number || is_line_end(text[0])) return 0;
  const size_t end = run_end(text, first.length, CharClass::letter);
  return end > first.length ? end : 0;
}

//  ?[^\s\p{L}\p{N}]+[\r\n]*, 0 where none of these marks stands.
size_t marks_piece(std::string_view text) {
  const size_t start = text[0] == ' ' ? 1 : 0;
  size_t end = run_end(text, start, CharClass::other);
  if (end == start) return 0;
  while (end < text.size() && is_line_end(text[end])) ++end;
  return end;
}

size_t numbers_piece(std::string_view text, size_t most) {
  size_t end = 0;
  for (size_t n = 0; n < most; ++n) {
    const Char c = char_at(text, end);
    if (c.length == 0 || c.kind != CharClass::number) break;
    end += c.length;
  }
  return end;
}

size_t llama3_piece(std::string_view text, SplitRule rule) {
  if (const size_t length = contraction_of_any_case(text); length > 0) return length;
  const Char first = char_at(text, 0);
  if (const size_t length = letters_piece(text, first); length > 0) return length;
  if (first.kind == CharClass::number) return numbers_piece(text, rule == SplitRule::llama3 ? 3 : 1);
  if (const size_t length = marks_piece(text); length > 0) return length;
  // \s*[\r\n]+: white space up to the last end of a line in it.
  const std::string_view space = text.substr(0, run_end(text, 0, CharClass::space));
  const size_t line_end = space.find_last_of("\r\n");
  return line_end != std::string_view::npos ? line_end + 1 : space_piece(text, rule);
}

}  // namespace

std::string_view name_of(SplitRule rule) {
  constexpr std::string_view names[] = {"gpt2", "gpt2_digits", "llama3", "qwen2"};
  return names[static_cast<size_t>(rule)];
}

size_t next_piece(std::string_view text, SplitRule rule) {
  return rule == SplitRule::gpt2 || rule == SplitRule::gpt2_digits ? gpt2_piece(text, rule) : llama3_piece(text, rule);
}

}  // namespace gpt2
