#include "src/base/error.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace gpt2 {

void fail(ExitCode code, const std::string& message) { throw Error(code, message); }

void fail_model(std::string_view file, std::string_view item, std::string_view expected, std::string_view found) {
  fail(ExitCode::model, printable(file, 400) + ": " + printable(item, 120) + ": expected " + printable(expected, 200) +
                            ", found " + printable(found, 200));
}

void fail_errno(std::string_view file, std::string_view action, int error_number) {
  fail(ExitCode::internal,
       printable(file, 400) + ": cannot " + std::string(action) + ": " + std::strerror(error_number));
}

size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool range = (lead != 0xE0 || byte(1) >= 0xA0) && (lead != 0xED || byte(1) < 0xA0);
    return range && tail(1) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool range = (lead != 0xF0 || byte(1) >= 0x90) && (lead != 0xF4 || byte(1) < 0x90);
    return range && tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

std::string printable(std::string_view text, size_t limit) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= limit) return out + "...";
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_sequence_length(text.substr(i));
    const bool c1 = length == 2 && c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    const bool control = c < 0x20 || c == 0x7F || c1;
    if (length > 0 && !control) {
      out.append(text.substr(i, length));
      i += length;
    } else {
      char hex[5];
      std::snprintf(hex, sizeof hex, "\\x%02X", c);
      out += hex;
      ++i;
    }
  }
  return out;
}

namespace detail {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "gpt2: bug: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace detail
}  // namespace gpt2
