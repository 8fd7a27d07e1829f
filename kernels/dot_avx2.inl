// Integer dot products with AVX2, exact. vpmaddubsw saturates at 16 bits, so int8 goes through 16-bit products (vpmaddwd), and int4's
// codes of 0..15 through vpmaddubsw with room for a whole group of 32 in 16 bits.
namespace gpt2 {
namespace {

GPT2_INLINE __m256i broadcast_codes(const unsigned char* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

GPT2_INLINE __m256i pairs_to_sums(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// Weight codes 0..255 and activations as 16-bit numbers: vpmaddwd multiplies and adds pairs without a sign trick. Per 32 products
// that is two instructions on the two multiplying ports, where vpsignb, vpmaddubsw and vpmaddwd are three.
struct Int8Dot {
  static constexpr int kRows = 3, kPanels = 1, kOneRowPanels = 1;
  static constexpr size_t kCodeBytes = 2;
  struct Acc {
    __m256i part[4];  // of four outputs each: two sums an output
  };
  struct Line {
    __m256i part[4];  // 4 outputs x 4 inputs
  };
  GPT2_INLINE Acc start(int32_t /*offset*/) {
    const __m256i zero = _mm256_setzero_si256();
    return {{zero, zero, zero, zero}};
  }
  GPT2_INLINE Line load(const unsigned char* p) {
    Line line;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      line.part[i] = _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(p + 16 * i))));
    }
    return line;
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    int64_t four;
    __builtin_memcpy(&four, x, sizeof four);
    const __m256i codes = _mm256_set1_epi64x(four);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        acc[p].part[i] = _mm256_add_epi32(acc[p].part[i], _mm256_madd_epi16(w[p].part[i], codes));
      }
    }
  }
  GPT2_INLINE __m256i join(__m256i low, __m256i high) { return _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8); }
  GPT2_INLINE I16 finish(const Acc& acc, int32_t offset) {
    const __m256i start = _mm256_set1_epi32(offset);
    return {_mm256_add_epi32(join(acc.part[0], acc.part[1]), start), _mm256_add_epi32(join(acc.part[2], acc.part[3]), start)};
  }
};

struct Int4Dot {
  static constexpr int kRows = 4, kPanels = 1, kOneRowPanels = 2;
  static constexpr size_t kCodeBytes = 1;
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
