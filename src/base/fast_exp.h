// exp for sums over a vocabulary, where portable_exp would take longer than the model's step. Additions and
// multiplications in one order: the same bits everywhere.
#pragma once

#include <bit>
#include <cstdint>

namespace gpt2 {

// Returns exp(x) for x <= 0 to 4e-10 relative, 0 below -700: 2^n times the series of the rest, |r| <= ln(2) / 2, up to
// r^9.
inline double fast_exp(double x) {
  constexpr double kMagic = 0x1.8p52, kLog2E = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefa39efp-1;
  if (x < -700.0) return 0;
  const double shifted = x * kLog2E + kMagic, r = x - (shifted - kMagic) * kLn2, r2 = r * r;
  const double low = (1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
  const double high =
      (1.0 / 24 + r * (1.0 / 120)) + r2 * ((1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880)));
  return (low + r2 * r2 * high) * std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) + 1023) << 52);
}

}  // namespace gpt2
