// Integer dot products with AVX2. vpmaddubsw saturates at 16 bits, so int8 takes |w| <= 127 times the activation with the weight's
// sign: 2 x 127 x 127 < 2^15. int4's codes of 0..15 leave room for a whole group of 32 in 16 bits.
namespace gpt2 {
namespace {

GPT2_INLINE __m256i broadcast_codes(const unsigned char* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

GPT2_INLINE __m256i pairs_to_sums(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

struct Int8Dot {
  static constexpr int kRows = 4, kPanels = 1, kOneRowPanels = 2;
  using Acc = I16;
  struct Line {
    I16 w, magnitude;
  };
  GPT2_INLINE Acc start(int32_t /*offset*/) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  GPT2_INLINE Line load(const unsigned char* p) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    I16 w = iload16(p);
    w = {_mm256_xor_si256(w.a, flip), _mm256_xor_si256(w.b, flip)};
    return {w, {_mm256_abs_epi8(w.a), _mm256_abs_epi8(w.b)}};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const __m256i codes = broadcast_codes(x);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
      const __m256i a = _mm256_maddubs_epi16(w[p].magnitude.a, _mm256_sign_epi8(codes, w[p].w.a));
      const __m256i b = _mm256_maddubs_epi16(w[p].magnitude.b, _mm256_sign_epi8(codes, w[p].w.b));
      acc[p] = {_mm256_add_epi32(acc[p].a, pairs_to_sums(a)), _mm256_add_epi32(acc[p].b, pairs_to_sums(b))};
    }
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t /*offset*/) { return acc; }
};

struct Int4Dot {
  static constexpr int kRows = 4, kPanels = 1, kOneRowPanels = 2;
  using Acc = I16;  // sums of 16 bits: at most 8 x 2 x 15 x 127 = 30480
  struct Line {
    I16 low, high;
  };
  GPT2_INLINE Acc start(int32_t /*offset*/) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  GPT2_INLINE Line load(const unsigned char* p) {
    const I16 line = iload16(p);
    const __m256i mask = _mm256_set1_epi8(15);
    return {{_mm256_and_si256(line.a, mask), _mm256_and_si256(line.b, mask)},
            {_mm256_and_si256(_mm256_srli_epi16(line.a, 4), mask), _mm256_and_si256(_mm256_srli_epi16(line.b, 4), mask)}};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const __m256i low = broadcast_codes(x), high = broadcast_codes(x + 4);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
      acc[p].a = _mm256_add_epi16(acc[p].a, _mm256_maddubs_epi16(w[p].low.a, low));
      acc[p].b = _mm256_add_epi16(acc[p].b, _mm256_maddubs_epi16(w[p].low.b, low));
      acc[p].a = _mm256_add_epi16(acc[p].a, _mm256_maddubs_epi16(w[p].high.a, high));
      acc[p].b = _mm256_add_epi16(acc[p].b, _mm256_maddubs_epi16(w[p].high.b, high));
    }
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t offset) {
    const __m256i start = _mm256_set1_epi32(offset);
    return {_mm256_add_epi32(pairs_to_sums(acc.a), start), _mm256_add_epi32(pairs_to_sums(acc.b), start)};
  }
};

}  // namespace
}  // namespace gpt2
