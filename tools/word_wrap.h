// Text on its way to a terminal, broken between words where it would go beyond the edge. A word is held back until it
// ends; one that is wider than the terminal is broken where it has to be, and wide characters are words of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gpt2 {

class WordWrap {
 public:
  // `width`: columns, 1 at least. The text begins in the first of them.
  explicit WordWrap(uint32_t width) : width_(width) {}

  // Returns what can be shown of the text so far: the same in sum wherever it is cut. `text`: whole characters of
  // UTF-8, without control characters other than newline and tab.
  std::string push(std::string_view text);
  // Returns what was held back.
  std::string finish();

 private:
  void space(char byte, std::string& out);
  void end_word(std::string& out);

  uint32_t width_;
  uint32_t column_ = 0;
  std::string word_;
  uint32_t word_width_ = 0;
};

}  // namespace gpt2
