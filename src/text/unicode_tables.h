// Which code points of Unicode 15 are letters, numbers or white space, which are word characters, and how they
// compose: sorted tables,
// written by scripts/gen_unicode.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/text/split.h"

namespace gpt2 {

struct ClassRange {
  uint32_t first, last;
  CharClass kind;
};

inline constexpr size_t kClassRanges = 806;
extern const std::array<ClassRange, kClassRanges> kUnicodeClasses;

struct WordRange {
  uint32_t first, last;
};

inline constexpr size_t kWordRanges = 771;
extern const std::array<WordRange, kWordRanges> kWordChars;

struct CombiningRange {
  uint32_t first, last;
  uint8_t combining;  // canonical combining class, not 0
};

inline constexpr size_t kCombiningRanges = 388;
extern const std::array<CombiningRange, kCombiningRanges> kCombining;

// What may stand in no text of normal form C, or only in some places (NFC_Quick_Check), and every mark.
inline constexpr size_t kNfcUnsureRanges = 278;
extern const std::array<WordRange, kNfcUnsureRanges> kNfcUnsure;

struct CanonicalPair {
  uint32_t composed, first, second;  // second is 0 where one character stands for another
};

inline constexpr size_t kDecompositionCount = 2061, kCompositionCount = 941;
extern const std::array<CanonicalPair, kDecompositionCount> kDecompositions;  // by what is composed
extern const std::array<CanonicalPair, kCompositionCount> kCompositions;      // by the pair

}  // namespace gpt2
