// Numbers whose sums are exact.
#pragma once

#include <cmath>

namespace gpt2 {

// Returns `value` rounded to a multiple of 2^-32. Sums of such numbers are exact as long as they stay below 2^21, in
// any order and however they are grouped: what a text is worth is the sum of what its parts are.
inline double summable(double value) noexcept {
  return std::nearbyint(value * 0x1p32) * 0x1p-32 + 0.0;  // no negative zero
}

}  // namespace gpt2
