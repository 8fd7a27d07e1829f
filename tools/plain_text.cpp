#include "tools/plain_text.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr size_t kLooked = 32;  // bytes that are looked at for NULs

// Whether every second byte from `first` on is NUL, and no other.
bool alternates(std::string_view text, size_t first) {
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] == '\0') != (i % 2 == first)) return false;
  }
  return true;
}

}  // namespace

size_t utf8_mark(std::string_view text) noexcept { return text.starts_with("\xEF\xBB\xBF") ? 3 : 0; }

const char* foreign_mark(std::string_view text) noexcept {
  using namespace std::string_view_literals;
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
  return text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") ? "UTF-16" : nullptr;
}

const char* foreign_encoding(std::string_view text) noexcept {
  if (const char* const marked = foreign_mark(text)) return marked;
  const std::string_view head = text.substr(0, std::min(text.size(), kLooked) & ~size_t{1});
  return head.size() >= 4 && (alternates(head, 0) || alternates(head, 1)) ? "UTF-16" : nullptr;
}

std::string encoding_fault(const char* encoding) {
  const std::string name = encoding;
  return "expected UTF-8, found " + name + " (iconv -f " + name + " -t UTF-8 converts it)";
}

std::string plain_text(std::string bytes, std::string_view name) {
  if (const char* const encoding = foreign_encoding(bytes)) {
    fail(ExitCode::input, printable(name, 400) + ": " + encoding_fault(encoding));
  }
  bytes.erase(0, utf8_mark(bytes));
  return bytes;
}

}  // namespace gpt2
