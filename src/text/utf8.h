// Incremental UTF-8: text that arrives in pieces cut anywhere comes out in whole characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gpt2 {

// What happens to bytes that are proven not to be UTF-8.
enum class InvalidUtf8 { keep, replace };  // as they are, or as one U+FFFD per maximal subpart (Unicode 15, 3.9)

struct CodePoint {
  uint32_t value = 0;    // U+FFFD when invalid
  uint32_t length = 0;   // bytes taken, 1..4; 0 only at the end of the text
  bool valid = false;
};

// Returns the code point at the start of `text` (Unicode 15, table 3-7: no overlong forms, no surrogates).
CodePoint decode_utf8(std::string_view text);

void append_utf8(uint32_t code_point, std::string& out);

// Holds back at most 3 bytes.
class Utf8Stream {
 public:
  explicit Utf8Stream(InvalidUtf8 policy) : policy_(policy) {}
  // Appends to `out` all that is whole (or proven invalid) after `bytes`.
  void push(std::string_view bytes, std::string& out);
  // Ends the text: what was held back is invalid.
  void finish(std::string& out);
  bool pending() const noexcept { return !held_.empty(); }

 private:
  void drain(bool final, std::string& out);
  InvalidUtf8 policy_;
  std::string held_;
};

}  // namespace gpt2
