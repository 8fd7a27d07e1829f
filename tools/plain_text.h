// Text as other programs write it: the byte order mark of UTF-8 is no text, and UTF-16 is named instead of read as
// noise.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gpt2 {

// Returns the length of UTF-8's byte order mark at the beginning of `text`: 3, or 0 if there is none.
size_t utf8_mark(std::string_view text) noexcept;

// Returns the name of a foreign encoding, nullptr for none: by the mark at the beginning, or because every second of
// the first bytes, four at least, is NUL as in Latin letters of UTF-16.
const char* foreign_encoding(std::string_view text) noexcept;
// The same by the mark alone, for input in which NUL has a meaning of its own.
const char* foreign_mark(std::string_view text) noexcept;

// "expected UTF-8, found UTF-16 (iconv -f UTF-16 -t UTF-8 converts it)".
std::string encoding_fault(const char* encoding);

// `bytes` without a mark of UTF-8. Throws Error (exit 4) that names `name` for a foreign encoding.
std::string plain_text(std::string bytes, std::string_view name);

}  // namespace gpt2
