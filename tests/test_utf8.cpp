#include <doctest/doctest.h>

#include <string>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/text/display.h"
#include "src/text/utf8.h"
#include "tests/kernel_cases.h"

using namespace gpt2;

namespace {

// Well-formedness by decoding and re-encoding: independent of the table in the code.
bool well_formed(const std::string& text, size_t length) {
  if (text.size() < length) return false;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  uint32_t c = 0;
  switch (length) {
    case 1: return byte(0) < 0x80;
    case 2: c = (byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu); break;
    case 3: c = (byte(0) & 0xFu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu); break;
    default: c = (byte(0) & 7u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu); break;
  }
  std::string again;
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
  append_utf8(c, again);
  return again == text.substr(0, length);
}

}  // namespace

TEST_CASE("utf8: every code point encodes, decodes and is whole") {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    const CodePoint got = decode_utf8(text);
    REQUIRE(got.valid);
    REQUIRE(got.value == c);
    REQUIRE(got.length == text.size());
  }
}

TEST_CASE("utf8: every pair and many triples of bytes are judged as their decoding says") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    for (const char third : {'\x00', '\x7F', '\x80', '\xBF', '\xC0'}) {
      const std::string text = {static_cast<char>(bits >> 8), static_cast<char>(bits), third, '\x80'};
      size_t expected = 0;
      for (size_t length = 1; length <= 4 && expected == 0; ++length) expected = well_formed(text, length) ? length : 0;
      REQUIRE(utf8_sequence_length(text) == expected);
    }
  }
}

TEST_CASE("utf8: a stream gives the same text wherever it is cut") {
  const std::string text = "aé€😀\xFF\xE2\x82\xF0\x9F\x98z\xED\xA0\x80\xC2";
  for (const InvalidUtf8 policy : {InvalidUtf8::keep, InvalidUtf8::replace}) {
    std::string expected;
    Utf8Stream whole(policy);
    whole.push(text, expected);
    whole.finish(expected);
    for (size_t a = 0; a <= text.size(); ++a) {
      for (size_t b = a; b <= text.size(); ++b) {
        Utf8Stream stream(policy);
        std::string got;
        stream.push(text.substr(0, a), got);
        stream.push(text.substr(a, b - a), got);
        stream.push(text.substr(b), got);
        stream.finish(got);
        REQUIRE(got == expected);
      }
    }
  }
}

TEST_CASE("utf8: invalid bytes are kept, or replaced one maximal subpart at a time") {
  const auto run = [](std::string_view text, InvalidUtf8 policy) {
    std::string out;
    Utf8Stream stream(policy);
    stream.push(text, out);
    stream.finish(out);
    return out;
  };
  CHECK(run("\xF0\x9F\x98", InvalidUtf8::keep) == "\xF0\x9F\x98");
  CHECK(run("\xF0\x9F\x98", InvalidUtf8::replace) == "\xEF\xBF\xBD");
  CHECK(run("\xF0\x80\x80", InvalidUtf8::replace) == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // Unicode 15, table 3-8
  CHECK(run("\xED\xA0\x80", InvalidUtf8::replace) == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(run("\xE2\x82z", InvalidUtf8::replace) == "\xEF\xBF\xBDz");
}

TEST_CASE("utf8: broken bytes are as many U+FFFD in JSON and in shown tokens as in a stream") {
  const std::string alphabet = "a\x80\x90\xA0\xBF\xC2\xC0\xE0\xE2\xED\xF0\xF4\xF5";
  test::Numbers numbers(9);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes, expected;
    for (uint64_t n = 1 + numbers.bits() % 8; n > 0; --n) bytes += alphabet[numbers.bits() % alphabet.size()];
    Utf8Stream stream(InvalidUtf8::replace);
    stream.push(bytes, expected);
    stream.finish(expected);
    REQUIRE(json_quote(bytes) == "\"" + expected + "\"");
    std::string shown;
    const size_t cut = numbers.bits() % (bytes.size() + 1);
    for (const std::string& token : shown_tokens({bytes, {0, cut, bytes.size()}, {0, 0}})) shown += token;
    REQUIRE(shown == expected);
  }
}

TEST_CASE("utf8: a stream holds back what may still become whole, and nothing else") {
  Utf8Stream stream(InvalidUtf8::keep);
  std::string out;
  stream.push("a\xE2\x82", out);
  CHECK(out == "a");
  CHECK(stream.pending());
  stream.push("\xAC", out);
  CHECK(out == "a\xE2\x82\xAC");
  CHECK_FALSE(stream.pending());
  stream.push("\xE2\x28", out);  // proven invalid at once
  CHECK(out == "a\xE2\x82\xAC\xE2\x28");
}
