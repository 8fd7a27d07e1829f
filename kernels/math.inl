// exp, erf and GELU on 16 lanes, operation for operation as scalar.cpp defines them.
namespace gpt2 {
namespace {

GPT2_INLINE V16 exp16(V16 x) {
  x = at_most16(set16(kExpHigh), at_least16(set16(kExpLow), x));
  const V16 t = fma16(x, set16(kLog2E), set16(kRoundMagic));
  const V16 n = sub16(t, set16(kRoundMagic));
  const V16 r = fma16(n, set16(-kLn2Low), fma16(n, set16(-kLn2High), x));
  V16 q = set16(kExpQ[4]);
#pragma GCC unroll 4
  for (int i = 3; i >= 0; --i) q = fma16(q, r, set16(kExpQ[i]));
  const V16 p = fma16(fma16(q, r, set16(1.0f)), r, set16(1.0f));
  return scale_by_exponent16(p, t);
}

GPT2_INLINE V16 erf16(V16 x) {
  const V16 a = abs16(x), a2 = mul16(a, a);
  V16 small = set16(kErfSmall[6]);
#pragma GCC unroll 6
  for (int i = 5; i >= 0; --i) small = fma16(small, a2, set16(kErfSmall[i]));
  small = fma16(small, a, a);
  const V16 b = at_most16(set16(kErfLimit), a);
  V16 large = set16(kErfLarge[6]);
#pragma GCC unroll 6
  for (int i = 5; i >= 0; --i) large = fma16(large, b, set16(kErfLarge[i]));
  const V16 tail = sub16(set16(1.0f), exp16(sub16(set16(0.0f), large)));
  return or16(select16(less16(a, set16(1.0f)), small, tail), sign_of16(x));
}

GPT2_INLINE V16 gelu_tanh16(V16 x) {
  const V16 u2 = mul16(x, fma16(mul16(x, x), set16(kGelu1), set16(kGelu0)));
  return div16(x, add16(set16(1.0f), exp16(sub16(set16(0.0f), u2))));
}

GPT2_INLINE V16 gelu_erf16(V16 x) {
  return mul16(mul16(set16(0.5f), x), add16(set16(1.0f), erf16(mul16(x, set16(kSqrtHalf)))));
}

GPT2_INLINE V16 silu16(V16 x) { return div16(x, add16(set16(1.0f), exp16(sub16(set16(0.0f), x)))); }

}  // namespace
}  // namespace gpt2
