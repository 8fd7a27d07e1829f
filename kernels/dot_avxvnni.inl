// Integer dot products by vpdpbusd on ymm registers. GPT2_DPBUSD is the tier's spelling of it: AVX-VNNI's, or in the
// tests its sister's of AVX-512 VL, which machines at hand can run.
namespace gpt2 {
namespace {

GPT2_INLINE __m256i broadcast_codes(const unsigned char* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

struct Int8Peak {
  static constexpr const char* kText = "vpdpbusd ymm";
  using Register = __m256i;
  static constexpr size_t kChains = 12, kOperations = 64;
  GPT2_INLINE Register start(float /*value*/) { return _mm256_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) { acc = GPT2_DPBUSD(acc, w, x); }
};
using Int4Peak = Int8Peak;

struct Int8Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{4, 1}};
  using Acc = I16;
  using Line = I16;
  GPT2_INLINE Acc start(int32_t offset) { return iset16(offset); }
  GPT2_INLINE Line load(const unsigned char* p) { return iload16(p); }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const __m256i codes = broadcast_codes(x);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) acc[p] = {GPT2_DPBUSD(acc[p].a, w[p].a, codes), GPT2_DPBUSD(acc[p].b, w[p].b, codes)};
  }
  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    group_by_lines<Int8Dot, kLines, 4>(sums, offset, lines, bytes, x, stride);
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t /*offset*/) { return acc; }
};

struct Int4Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{4, 1}};
  using Acc = I16;
  struct Line {
    I16 low, high;
  };
  GPT2_INLINE Acc start(int32_t offset) { return iset16(offset); }
  GPT2_INLINE Line load(const unsigned char* p) {
    const I16 line = iload16(p);
    const __m256i mask = _mm256_set1_epi8(15);
    return {
        {_mm256_and_si256(line.a, mask), _mm256_and_si256(line.b, mask)},
        {_mm256_and_si256(_mm256_srli_epi16(line.a, 4), mask), _mm256_and_si256(_mm256_srli_epi16(line.b, 4), mask)}};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const __m256i low = broadcast_codes(x), high = broadcast_codes(x + 4);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
      acc[p] = {GPT2_DPBUSD(acc[p].a, w[p].low.a, low), GPT2_DPBUSD(acc[p].b, w[p].low.b, low)};
      acc[p] = {GPT2_DPBUSD(acc[p].a, w[p].high.a, high), GPT2_DPBUSD(acc[p].b, w[p].high.b, high)};
    }
  }
  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    group_by_lines<Int4Dot, kLines, 8>(sums, offset, lines, bytes, x, stride);
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t /*offset*/) { return acc; }
};

}  // namespace
}  // namespace gpt2
