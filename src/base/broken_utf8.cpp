#include "src/base/broken_utf8.h"

#include <algorithm>

namespace gpt2 {
namespace {

// The bytes that a lead byte announces, and what the second of them may be (Unicode 15, table 3-7).
struct Announced {
  size_t length = 1;
  unsigned char first = 0x80, last = 0xBF;
};

Announced announced_by(unsigned char lead) {
  Announced announced;
  if (lead >= 0xC2 && lead <= 0xDF) announced.length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) announced.length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) announced.length = 4;
  if (lead == 0xE0) announced.first = 0xA0;
  if (lead == 0xED) announced.last = 0x9F;
  if (lead == 0xF0) announced.first = 0x90;
  if (lead == 0xF4) announced.last = 0x8F;
  return announced;
}

// How much of the sequence that the first byte announces is there.
size_t n_begun(std::string_view text, const Announced& announced) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t most = std::min(announced.length, text.size());
  size_t n = 1;
  if (n < most && byte(n) >= announced.first && byte(n) <= announced.last) {
    for (++n; n < most && (byte(n) & 0xC0) == 0x80; ++n) {
    }
  }
  return n;
}

}  // namespace

size_t broken_utf8_length(std::string_view text) {
  return n_begun(text, announced_by(static_cast<unsigned char>(text[0])));
}

bool may_become_utf8(std::string_view text) {
  const Announced announced = announced_by(static_cast<unsigned char>(text[0]));
  return text.size() < announced.length && n_begun(text, announced) == text.size();
}

}  // namespace gpt2
