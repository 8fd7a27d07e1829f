// exp, log, sine and cosine in double from additions, multiplications and divisions alone, so that every machine gives
// the same bits (those of C libraries differ). Errors below 1e-15 relative; for sampling and statistics, not kernels.
#pragma once

namespace gpt2 {

// Returns exp(x); x is clamped to [-700, 700].
double portable_exp(double x);
// Returns log(x) for x > 0, finite and normal.
double portable_log(double x);
// Returns log(1 - v) for 0 <= v < 1, exact to the last bits also for tiny v.
double portable_log1m(double v);
// Sine and cosine of one angle, with absolute errors below 1e-14; NaN for |x| above kMaxAngle.
inline constexpr double kMaxAngle = 0x1p21;
struct SineCosine {
  double sine, cosine;
};
SineCosine portable_sincos(double x);

}  // namespace gpt2
