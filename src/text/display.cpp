#include "src/text/display.h"

#include <algorithm>

#include "src/base/broken_utf8.h"
#include "src/text/unicode_tables.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

constexpr WordRange kUnseen[] = {{0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x2064}, {0xFE00, 0xFE0F},
                                 {0xFEFF, 0xFEFF}, {0xE0001, 0xE007F}, {0xE0100, 0xE01EF}};
constexpr WordRange kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xA960, 0xA97C},
                               {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                               {0xFFE0, 0xFFE6},   {0x17000, 0x18CFF}, {0x1B000, 0x1B2FF}, {0x1F300, 0x1F64F},
                               {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

// Whether a sorted table of ranges has the code point.
template <class Ranges>
bool has(const Ranges& ranges, uint32_t code_point) {
  const auto found = std::lower_bound(std::begin(ranges), std::end(ranges), code_point,
                                      [](const auto& range, uint32_t point) { return range.last < point; });
  return found != std::end(ranges) && found->first <= code_point;
}

}  // namespace

std::vector<std::string> shown_tokens(const WrittenText& text) {
  std::vector<std::string> shown(text.n_tokens());
  size_t token = 0;
  for (size_t at = 0; at < text.text.size();) {
    while (text.begins[token + 1] <= at) ++token;
    const std::string_view rest = std::string_view(text.text).substr(at);
    const CodePoint point = decode_utf8(rest);
    append_utf8(point.value, shown[token]);
    at += point.valid ? point.length : broken_utf8_length(rest);
  }
  return shown;
}

uint32_t display_width(uint32_t code_point) {
  if (has(kCombining, code_point) || has(kUnseen, code_point)) return 0;
  return has(kWide, code_point) ? 2 : 1;
}

}  // namespace gpt2
