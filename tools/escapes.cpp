#include "tools/escapes.h"

#include <charconv>
#include <optional>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

struct Letter {
  char letter, byte;
};
constexpr Letter kLetters[] = {{'n', '\n'},   {'t', '\t'}, {'r', '\r'}, {'0', '\0'}, {'a', '\a'},  {'b', '\b'},
                               {'e', '\x1B'}, {'f', '\f'}, {'v', '\v'}, {'"', '"'},  {'\'', '\''}, {'\\', '\\'}};

// Exactly `digits` hexadecimal digits.
std::optional<uint32_t> parse_hex(std::string_view text, size_t digits) {
  uint32_t value = 0;
  if (text.size() < digits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
  return error == std::errc() && end == text.data() + digits ? std::optional(value) : std::nullopt;
}

size_t digits_of(char letter) {
  switch (letter) {
    case 'x': return 2;
    case 'u': return 4;
    case 'U': return 8;
    default: return 0;
  }
}

// Appends what the escape at the start of `text` stands for; returns its length, 0 if it is none.
size_t append_escape(std::string_view text, std::string& out) {
  if (text.size() < 2) return 0;
  for (const Letter& known : kLetters) {
    if (known.letter != text[1]) continue;
    out += known.byte;
    return 2;
  }
  const size_t digits = digits_of(text[1]);
  const std::optional<uint32_t> value = digits > 0 ? parse_hex(text.substr(2), digits) : std::nullopt;
  if (!value) return 0;
  if (digits == 2) {
    out += static_cast<char>(*value);
    return 4;
  }
  if (*value > 0x10FFFF || (*value >= 0xD800 && *value <= 0xDFFF)) return 0;
  append_utf8(*value, out);
  return 2 + digits;
}

}  // namespace

std::string unescape(std::string_view text, std::string_view what) {
  std::string out;
  while (!text.empty()) {
    const size_t plain = std::min(text.find('\\'), text.size());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const size_t length = append_escape(text, out);
    if (length == 0) {
      fail(ExitCode::usage, std::string(what) +
                                ": expected one of \\n \\t \\r \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH \\uHHHH "
                                "\\UHHHHHHHH, found \"" +
                                printable(text.substr(0, 2)) + "\"");
    }
    text.remove_prefix(length);
  }
  return out;
}

void append_escaped_byte(char byte, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  out += "\\x";
  out += kDigits[value >> 4];
  out += kDigits[value & 15];
}

std::string escaped_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (const char c : text) {
    constexpr std::string_view kBytes = "\n\r\t\\", kLetters = "nrt\\";
    const auto value = static_cast<unsigned char>(c);
    if (const size_t known = kBytes.find(c); known != std::string_view::npos) {
      line += '\\';
      line += kLetters[known];
    } else if (value < 0x20 || value == 0x7F) {
      append_escaped_byte(c, line);
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace gpt2
