#include "tools/word_wrap.h"

#include <utility>

#include "src/text/display.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

constexpr uint32_t kTab = 8;

}  // namespace

std::string WordWrap::push(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    const std::string_view character = text.substr(0, point.length);
    text.remove_prefix(point.length);
    if (point.value == '\n' || point.value == ' ' || point.value == '\t') {
      end_word(out);
      space(character[0], out);
      continue;
    }
    const uint32_t width = display_width(point.value);
    if (width > 1 || word_width_ + width > width_) end_word(out);
    word_ += character;
    word_width_ += width;
    if (width > 1) end_word(out);
  }
  return out;
}

// Spaces at the edge are not shown, as no line begins with them.
void WordWrap::space(char byte, std::string& out) {
  if (byte == '\n') {
    column_ = 0;
  } else {
    column_ += byte == '\t' ? kTab - column_ % kTab : 1;
    if (column_ > width_) return;
  }
  out += byte;
}

void WordWrap::end_word(std::string& out) {
  if (column_ > 0 && word_width_ > 0 && column_ + word_width_ > width_) {
    out += '\n';
    column_ = 0;
  }
  out += std::exchange(word_, {});
  column_ += std::exchange(word_width_, 0);
}

std::string WordWrap::finish() {
  std::string out;
  end_word(out);
  return out;
}

}  // namespace gpt2
