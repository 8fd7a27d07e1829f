#include "src/base/portable_math.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace gpt2 {
namespace {

constexpr double kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;

// 2 atanh(s) = log((1 + s) / (1 - s)) by its series; |s| <= 0.172 leaves the first omitted term below 1e-18 relative.
double two_atanh(double s) {
  const double s2 = s * s;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 2.0 / k;
  return s * sum;
}

}  // namespace

double portable_exp(double x) {
  x = std::clamp(x, -700.0, 700.0);
  constexpr double kMagic = 0x1.8p52;  // adding it rounds to a whole number
  const double n = (x * 0x1.71547652b82fep+0 + kMagic) - kMagic;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1;
  for (int k = 14; k >= 1; --k) sum = 1 + sum * r / k;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
}

double portable_log(double x) {
  constexpr uint64_t kMantissa = (uint64_t{1} << 52) - 1, kOne = uint64_t{1023} << 52;
  const auto bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & kMantissa) | kOne);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  const auto e = static_cast<double>(exponent);
  return e * kLn2High + (two_atanh((m - 1) / (m + 1)) + e * kLn2Low);
}

SineCosine portable_sincos(double x) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (!(x >= -kMaxAngle && x <= kMaxAngle)) return {kNan, kNan};
  constexpr double kMagic = 0x1.8p52, kHalfPiHigh = 0x1.921fb54400000p+0, kHalfPiLow = 0x1.0b4611a626331p-34;
  const double n = (x * 0x1.45f306dc9c883p-1 + kMagic) - kMagic;  // quarter turns
  const double r = (x - n * kHalfPiHigh) - n * kHalfPiLow, r2 = r * r;
  double sine = 1, cosine = 1;
  for (int k = 18; k >= 2; k -= 2) {
    sine = 1 - sine * r2 / (k * (k + 1));
    cosine = 1 - cosine * r2 / (k * (k - 1));
  }
  sine *= r;
  switch (static_cast<int64_t>(n) & 3) {
    case 0: return {sine, cosine};
    case 1: return {cosine, -sine};
    case 2: return {-sine, -cosine};
    default: return {-cosine, sine};
  }
}

double portable_log1m(double v) { return v < 0.25 ? two_atanh(-v / (2 - v)) : portable_log(1 - v); }

}  // namespace gpt2
