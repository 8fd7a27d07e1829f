// Which code points of Unicode 15 are letters, numbers or white space, and which are word characters: sorted ranges,
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

}  // namespace gpt2
