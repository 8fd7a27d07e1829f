// Lines that are broken between words as they stream to a terminal.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/text/display.h"
#include "src/text/utf8.h"
#include "tests/kernel_cases.h"
#include "tools/word_wrap.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::string wrapped(std::string_view text, uint32_t width) {
  WordWrap wrap(width);
  std::string out = wrap.push(text);
  return out + wrap.finish();
}

}  // namespace

TEST_CASE("word wrap: a word that does not fit begins the next line") {
  CHECK(wrapped("the sea was blue", 10) == "the sea \nwas blue");
  CHECK(wrapped("the sea was blue", 11) == "the sea was\nblue");  // the space at the edge is not shown
  CHECK(wrapped("the sea was   blue", 12) == "the sea was \nblue");
  CHECK(wrapped("", 10).empty());
  CHECK(wrapped("a\n\n  b\n", 10) == "a\n\n  b\n");
  CHECK(wrapped("0123456789\nab", 10) == "0123456789\nab");
  CHECK(wrapped("x 0123456789", 10) == "x \n0123456789");
  CHECK(wrapped("x 0123456789abcdefghijklm y", 10) == "x \n0123456789\nabcdefghij\nklm y");
  CHECK(wrapped("a\tb", 8) == "a\t\nb");
  CHECK(wrapped("a\tb", 9) == "a\tb");
}

TEST_CASE("word wrap: wide characters may be parted, marks stay with theirs") {
  CHECK(wrapped("\u65e5\u672c\u8a9e", 5) == "\u65e5\u672c\n\u8a9e");
  CHECK(wrapped("ab\u65e5\u672cc", 6) == "ab\u65e5\u672c\nc");
  CHECK(wrapped("ab e\u0301e\u0301e\u0301", 6) == "ab e\u0301e\u0301e\u0301");
  CHECK(wrapped("abc e\u0301e\u0301e\u0301", 6) == "abc \ne\u0301e\u0301e\u0301");
}

TEST_CASE("word wrap: the same however a text is cut, no line too wide, and nothing but spaces and line ends change") {
  const std::vector<std::string> parts = {"a", "bc", "def", " ", " ", " ", "\n", "e\u0301", "\u65e5", "longish", "\t"};
  Numbers numbers(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (uint64_t n = numbers.bits() % 40; n > 0; --n) text += parts[numbers.bits() % parts.size()];
    const auto width = static_cast<uint32_t>(2 + numbers.bits() % 20);
    const std::string expected = wrapped(text, width);
    WordWrap wrap(width);
    std::string pieces;
    for (std::string_view rest = text; !rest.empty();) {
      size_t n = 0;
      for (uint64_t k = 1 + numbers.bits() % 3; k > 0 && n < rest.size(); --k) n += decode_utf8(rest.substr(n)).length;
      pieces += wrap.push(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    REQUIRE(pieces + wrap.finish() == expected);
    uint32_t column = 0;
    for (std::string_view rest = expected; !rest.empty();) {
      const CodePoint point = decode_utf8(rest);
      rest.remove_prefix(point.length);
      column = point.value == '\n'   ? 0
               : point.value == '\t' ? column + 8 - column % 8
                                     : column + display_width(point.value);
      REQUIRE(column <= width);
    }
    const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
    std::string before = text, after = expected;
    std::erase_if(before, is_space);
    std::erase_if(after, is_space);
    REQUIRE(before == after);
  }
}
