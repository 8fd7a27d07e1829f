// Integer dot products by vpdpbusd: unsigned weight codes times signed activations, exact. The offset of the weights is
// undone by where the accumulator starts.
namespace gpt2 {
namespace {

GPT2_INLINE I16 broadcast_codes(const unsigned char* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

struct Int8Peak {
  static constexpr const char* kText = "vpdpbusd zmm";
  using Register = __m512i;
  static constexpr size_t kChains = 12, kOperations = 128;
  GPT2_INLINE Register start(float /*value*/) { return _mm512_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) { acc = _mm512_dpbusd_epi32(acc, w, x); }
};
using Int4Peak = Int8Peak;

struct Int8Dot {
  using Codes = ByteCodes;
  // Many rows: 6 x 2 sums and as many accumulators, 2 lines, a broadcast and the scales in 32 registers. Few rows wait
  // for memory, so all of them go at once, with the accumulators in L1: 8 rows at 1.10 to 1.14 of one row's time where
  // 6 x 2 takes 1.22 (read at 36 GB/s). 16 x 1 is 10 % behind 6 x 2 at 16 rows.
  static constexpr int kOneRowPanels = 4, kRoom = 24;
  static constexpr TileShape kTiles[] = {{8, 2}, {6, 2}};
  using Acc = I16;
  using Line = I16;
  GPT2_INLINE Acc start(int32_t offset) { return _mm512_set1_epi32(offset); }
  GPT2_INLINE Line load(const unsigned char* p) { return iload16(p); }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const I16 codes = broadcast_codes(x);
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) acc[p] = _mm512_dpbusd_epi32(acc[p], w[p], codes);
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
  static constexpr int kOneRowPanels = 4, kRoom = 24;
  static constexpr TileShape kTiles[] = {{6, 2}};
  using Acc = I16;
  struct Line {
    I16 low, high;  // inputs 0-3 and 4-7 of each output
  };
  GPT2_INLINE Acc start(int32_t offset) { return _mm512_set1_epi32(offset); }
  GPT2_INLINE Line load(const unsigned char* p) {
    const I16 line = iload16(p), mask = _mm512_set1_epi8(15);
    return {_mm512_and_si512(line, mask), _mm512_and_si512(_mm512_srli_epi16(line, 4), mask)};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const I16 low = broadcast_codes(x), high = broadcast_codes(x + 4);
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) acc[p] = _mm512_dpbusd_epi32(acc[p], w[p].low, low);
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) acc[p] = _mm512_dpbusd_epi32(acc[p], w[p].high, high);
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
