// The coefficients of the project's own exp and erf, fitted for float (near-minimax, weighted least squares with
// Lawson's iteration). Every tier evaluates the same polynomials with the same fma's, so every tier gives the same
// bits.
#pragma once

namespace gpt2 {

// exp(x) for x clamped to [lo, hi]: t = fma(x, log2(e), magic) rounds x log2(e) to a whole n in the low bits of t;
// r = x - n ln 2 in two parts; exp(r) = 1 + r + r^2 q(r), |r| <= ln(2)/2; n is added to the exponent. At most 1 ulp.
static constexpr float kExpLow = -87.0f, kExpHigh = 88.0f;
static constexpr float kLog2E = 0x1.715476p+0f;
static constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23
static constexpr float kLn2High = 0x1.62e400p-1f, kLn2Low = 0x1.7f7d1cp-20f;
static constexpr float kExpQ[5] = {0x1.000000p-1f, 0x1.55548ep-3f, 0x1.55545ep-5f, 0x1.123b56p-7f, 0x1.6db426p-10f};

// erf(a) for |a| < 1: a + a p(a^2); for 1 <= |a|, clamped to 4: 1 - exp(-g(|a|)).
static constexpr float kErfSmall[7] = {0x1.06eba8p-3f,  -0x1.81273ep-2f,  0x1.ce2d20p-4f, -0x1.b7fbb4p-6f,
                                       0x1.5419f4p-8f, -0x1.a485e8p-11f, 0x1.4ae4c6p-14f};
static constexpr float kErfLarge[7] = {0x1.47a346p-12f, 0x1.209054p+0f, 0x1.46a356p-1f,  0x1.a6f00cp-4f,
                                       -0x1.66ea8ep-6f, 0x1.847fd0p-9f, -0x1.8a34fep-13f};
static constexpr float kErfLimit = 4.0f;
static constexpr float kSqrtHalf = 0x1.6a09e6p-1f;

// GELU, tanh form: x / (1 + exp(-2u)), 2u = x (kGelu0 + kGelu1 x^2); kGelu0 = 2 sqrt(2/pi), kGelu1 = 0.044715 kGelu0.
// https://arxiv.org/abs/1606.08415
static constexpr float kGelu0 = 0x1.988454p+0f, kGelu1 = 0x1.2444f2p-4f;

// Rows whose scale would be smaller are zero: its reciprocal stays finite.
static constexpr float kSmallestRowScale = 0x1p-120f;

}  // namespace gpt2
