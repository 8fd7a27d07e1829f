#include "src/text/nfc.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "src/text/unicode_tables.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

// Syllables of Hangul are computed (Unicode 15, 3.12).
constexpr uint32_t kS = 0xAC00, kL = 0x1100, kV = 0x1161, kT = 0x11A7, kLs = 19, kVs = 21, kTs = 28;
// Stands before a byte that is no part of a character: above all code points.
constexpr uint32_t kRawByte = 0x200000;

template <class Ranges>
auto range_of(const Ranges& ranges, uint32_t c) -> decltype(ranges.data()) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](uint32_t value, const auto& range) { return value < range.first; });
  return after != ranges.begin() && c <= (after - 1)->last ? &*(after - 1) : nullptr;
}

uint32_t combining_class(uint32_t c) {
  const CombiningRange* range = c < 0x300 ? nullptr : range_of(kCombining, c);
  return range == nullptr ? 0 : range->combining;
}

void decompose(uint32_t c, std::vector<uint32_t>& out) {
  if (c >= kS && c < kS + kLs * kVs * kTs) {
    const uint32_t index = c - kS;
    out.push_back(kL + index / (kVs * kTs));
    out.push_back(kV + index / kTs % kVs);
    if (index % kTs != 0) out.push_back(kT + index % kTs);
    return;
  }
  const auto found = std::lower_bound(kDecompositions.begin(), kDecompositions.end(), c,
                                      [](const CanonicalPair& pair, uint32_t value) { return pair.composed < value; });
  if (c < 0xC0 || found == kDecompositions.end() || found->composed != c) {
    out.push_back(c);
    return;
  }
  decompose(found->first, out);
  if (found->second != 0) decompose(found->second, out);
}

// 0 where the two do not compose.
uint32_t compose(uint32_t a, uint32_t b) {
  if (a >= kL && a < kL + kLs && b >= kV && b < kV + kVs) return kS + ((a - kL) * kVs + (b - kV)) * kTs;
  if (a >= kS && a < kS + kLs * kVs * kTs && (a - kS) % kTs == 0 && b > kT && b < kT + kTs) return a + (b - kT);
  const auto found = std::lower_bound(
      kCompositions.begin(), kCompositions.end(), std::pair(a, b),
      [](const CanonicalPair& pair, const auto& key) { return std::pair(pair.first, pair.second) < key; });
  return found != kCompositions.end() && found->first == a && found->second == b ? found->composed : 0;
}

std::vector<uint32_t> decomposed(std::string_view text) {
  std::vector<uint32_t> out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text.substr(at));
    if (c.valid) {
      decompose(c.value, out);
    } else {
      for (size_t i = 0; i < c.length; ++i) out.push_back(kRawByte + static_cast<unsigned char>(text[at + i]));
    }
    at += c.length;
  }
  return out;
}

// Marks behind one character stand in the order of their classes.
void order_marks(std::vector<uint32_t>& chars) {
  for (auto begin = chars.begin(); begin != chars.end();) {
    const auto end = std::find_if(begin, chars.end(), [](uint32_t c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end, [](uint32_t a, uint32_t b) { return combining_class(a) < combining_class(b); });
    begin = end == chars.end() ? end : end + 1;
  }
}

// In place: what composes moves into the last character that no mark is.
void compose_all(std::vector<uint32_t>& chars) {
  size_t n = 0, base = SIZE_MAX;
  int64_t last_class = -1;  // of what stands between the base and the next; -1: nothing
  for (const uint32_t c : chars) {
    const auto combining = static_cast<int64_t>(combining_class(c));
    const uint32_t composed = base != SIZE_MAX && last_class < combining ? compose(chars[base], c) : 0;
    if (composed != 0) {
      chars[base] = composed;
      continue;
    }
    if (combining == 0) base = n;
    last_class = combining == 0 ? -1 : combining;
    chars[n++] = c;
  }
  chars.resize(n);
}

}  // namespace

bool surely_nfc(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0xCC) {  // leads no character from U+0300 on
      ++at;
      continue;
    }
    const CodePoint c = decode_utf8(text.substr(at));
    if (c.valid && range_of(kNfcUnsure, c.value) != nullptr) return false;
    at += c.length;
  }
  return true;
}

std::string to_nfc(std::string_view text) {
  std::vector<uint32_t> chars = decomposed(text);
  order_marks(chars);
  compose_all(chars);
  std::string out;
  for (const uint32_t c : chars) {
    if (c >= kRawByte) {
      out += static_cast<char>(c - kRawByte);
    } else {
      append_utf8(c, out);
    }
  }
  return out;
}

}  // namespace gpt2
