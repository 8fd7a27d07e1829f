// Integer dot products with AVX-512 BW alone. vpmaddubsw saturates at 16 bits, so int8 takes |w| <= 127 times the
// activation with the weight's sign: 2 x 127 x 127 < 2^15. int4's codes of 0..15 leave room for a whole group of 32 in
// 16 bits.
namespace gpt2 {
namespace {

GPT2_INLINE I16 broadcast_codes(const unsigned char* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

struct Int8Peak {
  static constexpr const char* kText = "vpmaddubsw + vpmaddwd + vpaddd zmm";
  using Register = __m512i;
  static constexpr size_t kChains = 12, kOperations = 128;
  GPT2_INLINE Register start(float /*value*/) { return _mm512_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    GPT2_OPAQUE(x);  // else one product for all chains
    acc = _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
  }
};
using Int4Peak = Int8Peak;

struct Int8Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 4, kRoom = 24;
  static constexpr TileShape kTiles[] = {{6, 2}};
  using Acc = I16;
  struct Line {
    I16 magnitude;
    __mmask64 negative;
  };
  GPT2_INLINE Acc start(int32_t /*offset*/) { return _mm512_setzero_si512(); }
  GPT2_INLINE Line load(const unsigned char* p) {
    const I16 w = _mm512_xor_si512(iload16(p), _mm512_set1_epi8(static_cast<char>(0x80)));
    return {_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const I16 codes = broadcast_codes(x);
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) {
      const I16 with_sign = _mm512_mask_sub_epi8(codes, w[p].negative, _mm512_setzero_si512(), codes);
      const I16 pairs = _mm512_maddubs_epi16(w[p].magnitude, with_sign);
      acc[p] = _mm512_add_epi32(acc[p], _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
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
  using Acc = I16;  // 32 sums of 16 bits: of a group at most 8 x 2 x 15 x 127 = 30480
  struct Line {
    I16 low, high;
  };
  GPT2_INLINE Acc start(int32_t /*offset*/) { return _mm512_setzero_si512(); }
  GPT2_INLINE Line load(const unsigned char* p) {
    const I16 line = iload16(p), mask = _mm512_set1_epi8(15);
    return {_mm512_and_si512(line, mask), _mm512_and_si512(_mm512_srli_epi16(line, 4), mask)};
  }
  template <int kP>
  GPT2_INLINE void step(Acc (&acc)[kP], const Line (&w)[kP], const unsigned char* x) {
    const I16 low = broadcast_codes(x), high = broadcast_codes(x + 4);
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) {
      acc[p] = _mm512_add_epi16(acc[p], _mm512_maddubs_epi16(w[p].low, low));
      acc[p] = _mm512_add_epi16(acc[p], _mm512_maddubs_epi16(w[p].high, high));
    }
  }
  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    static_assert(kLines == 4);
    group_by_lines<Int4Dot, kLines, 8>(sums, offset, lines, bytes, x, stride);
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t offset) {
    return _mm512_add_epi32(_mm512_madd_epi16(acc, _mm512_set1_epi16(1)), _mm512_set1_epi32(offset));
  }
};

}  // namespace
}  // namespace gpt2
