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

// Half of a product of 8-bit numbers: the other nibble costs the same again.
struct Int8Peak {
  using Register = __m256i;
  static constexpr size_t kChains = 12, kOperations = 32;
  GPT2_INLINE Register start(float /*value*/) { return _mm256_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    GPT2_OPAQUE(x);  // else one product for all chains
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
  }
};

// A code of 0..255 is two of 0..15, and eight products of such a nibble with an activation fit 16 bits twice: per 32 products two
// vpmaddubsw and two additions. |w| times the activation with w's sign (vpsignb, vpmaddubsw, vpmaddwd) is three instructions for the
// same two ports; 16-bit numbers and vpmaddwd run as fast as this but read twice the activations.
struct Int8Dot {
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{6, 1}};
  static constexpr size_t kLines = 16, kFull = 8;  // lines of a group, and what 16 bits have room for: 8 x 2 x 15 x 127 = 30480

  struct Four {
    unsigned char code[4];
  };
  // low += w_low x, high += w_high x for four inputs of eight outputs; the first time it sets them. In assembly because the order is
  // the point: compilers gather the broadcasts of all rows first, and spill the sums for them.
  template <bool kFirst>
  GPT2_INLINE void step(__m256i& low, __m256i& high, __m256i w_low, __m256i w_high, const unsigned char* x) {
    const Four* four = static_cast<const Four*>(static_cast<const void*>(x));
    if constexpr (kFirst) {
      __asm__("vpbroadcastd %4, %1\n\t"
              "vpmaddubsw %1, %2, %0\n\t"
              "vpmaddubsw %1, %3, %1"
              : "=&x"(low), "=&x"(high)
              : "x"(w_low), "x"(w_high), "m"(*four));
    } else {
      __m256i codes, product;
      __asm__("vpbroadcastd %6, %2\n\t"
              "vpmaddubsw %2, %4, %3\n\t"
              "vpmaddubsw %2, %5, %2\n\t"
              "vpaddw %3, %0, %0\n\t"
              "vpaddw %2, %1, %1"
              : "+x"(low), "+x"(high), "=&x"(codes), "=&x"(product)
              : "x"(w_low), "x"(w_high), "m"(*four));
    }
  }

  // One line: 8 outputs of a panel by kR rows.
  template <bool kFirst, int kR>
  GPT2_INLINE void line(__m256i (&low)[kR], __m256i (&high)[kR], const unsigned char* p, const unsigned char* x, size_t stride) {
    const __m256i mask = _mm256_set1_epi8(15), w = _mm256_load_si256(static_cast<const __m256i*>(static_cast<const void*>(p)));
    const __m256i w_low = _mm256_and_si256(w, mask), w_high = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) step<kFirst>(low[r], high[r], w_low, w_high, x + static_cast<size_t>(r) * stride);
  }

  // 8 outputs of a panel by kR rows, a whole group; `lines` points at their half of the first line.
  template <int kR>
  GPT2_INLINE void half(__m256i (&sums)[kR], const int32_t (&offset)[kR], const unsigned char* lines, const unsigned char* x,
                        size_t stride) {
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) sums[r] = _mm256_set1_epi32(offset[r]);
    for (size_t full = 0; full < kLines / kFull; ++full, lines += kFull * kLineBytes, x += kFull * 4) {
      __m256i low[kR], high[kR];
      line<true>(low, high, lines, x, stride);
#pragma GCC unroll 8
      for (size_t i = 1; i < kFull; ++i) line<false>(low, high, lines + i * kLineBytes, x + i * 4, stride);
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) {
        const __m256i sixteens = _mm256_madd_epi16(high[r], _mm256_set1_epi16(16));
        sums[r] = _mm256_add_epi32(sums[r], _mm256_add_epi32(pairs_to_sums(low[r]), sixteens));
      }
    }
  }

  template <int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      __m256i first[kR], second[kR];
      half<kR>(first, offset, lines, x, stride);
      half<kR>(second, offset, lines + 32, x, stride);
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) sums[r][p] = {first[r], second[r]};
    }
  }
};

struct Int4Dot {
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{4, 1}};
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
  template <int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    group_by_lines<Int4Dot, 4, 8>(sums, offset, lines, bytes, x, stride);
  }
  GPT2_INLINE I16 finish(Acc acc, int32_t offset) {
    const __m256i start = _mm256_set1_epi32(offset);
    return {_mm256_add_epi32(pairs_to_sums(acc.a), start), _mm256_add_epi32(pairs_to_sums(acc.b), start)};
  }
};

}  // namespace
}  // namespace gpt2
