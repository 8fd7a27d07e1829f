// Integer dot products with AVX2, exact. Two products and two additions take four of the three slots a cycle that
// multiplications and additions share, so what counts is how many inputs they cover: int8 as 16-bit numbers by vpmaddwd
// 32, with nothing to join (49 operations a cycle on Zen 3, of which the tile of 6 rows reaches 42), int4's nibbles by
// vpmaddubsw 64. Nibbles of int8 codes (51 before they are joined, 43 after) and |w| with a signed input (47) are
// slower.
namespace gpt2 {
namespace {

// A row's codes as 16-bit numbers, of each four in the order 0 2 1 3: a line's even bytes meet the first two, its odd
// ones the others.
struct WordCodes {
  static constexpr size_t kBytes = 2;
  GPT2_INLINE void store(unsigned char* p, V16 codes) {
    // Inputs 0-3 8-11 4-7 12-15.
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(codes.a), _mm256_cvtps_epi32(codes.b));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m256i pairs = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(ordered, 0xD8), 0xD8);
    _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(p)), pairs);
  }
};

struct Int8Peak {
  static constexpr const char* kText = "vpmaddwd + vpaddd ymm";
  using Register = __m256i;
  static constexpr size_t kChains = 12, kOperations = 32;
  GPT2_INLINE Register start(float /*value*/) { return _mm256_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    GPT2_OPAQUE(x);  // else one product for all chains
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
  }
};
// Of int4's sequence without what joins a group's sums.
struct Int4Peak {
  static constexpr const char* kText = "vpmaddubsw + vpaddw ymm";
  using Register = __m256i;
  static constexpr size_t kChains = 12, kOperations = 64;
  GPT2_INLINE Register start(float /*value*/) { return _mm256_set1_epi8(1); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    GPT2_OPAQUE(x);
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
  }
};

// A dword of activation codes, as an operand of assembly.
struct Dword {
  unsigned char bytes[4];
};
GPT2_INLINE const Dword& dword_at(const unsigned char* p) {
  return *static_cast<const Dword*>(static_cast<const void*>(p));
}

static constexpr uint64_t kEvenBytes = 0x00FF00FF00FF00FF, kNibbles = 0x0F0F0F0F0F0F0F0F;
static constexpr Mask kEven = {{kEvenBytes, kEvenBytes, kEvenBytes, kEvenBytes}};
static constexpr Mask kLow = {{kNibbles, kNibbles, kNibbles, kNibbles}};

// Steps are in assembly because the order is the point: with 12 sums, two vectors of weights, a broadcast and a product
// every register is taken, and compilers gather the broadcasts of all rows, and spill the sums for them.
struct Int8Dot {
  using Codes = WordCodes;
  static constexpr bool kFetches = true;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{6, 1}};

  // a += w_a x, b += w_b x for two inputs of 16 outputs.
  GPT2_INLINE void step(I16& sum, __m256i w_a, __m256i w_b, const unsigned char* x) {
    __m256i codes, product;
    __asm__("vpbroadcastd %6, %2\n\t"
            "vpmaddwd %2, %4, %3\n\t"
            "vpmaddwd %2, %5, %2\n\t"
            "vpaddd %3, %0, %0\n\t"
            "vpaddd %2, %1, %1"
            : "+x"(sum.a), "+x"(sum.b), "=&x"(codes), "=&x"(product)
            : "x"(w_a), "x"(w_b), "m"(dword_at(x)));
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride, const unsigned char* next) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) sums[r][p] = iset16(offset[r]);
    }
    for (size_t i = 0; i < kLines; ++i, lines += kLineBytes, x += 4 * Codes::kBytes) {
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p) {
        const unsigned char* line = lines + static_cast<size_t>(p) * bytes;
        if (next != nullptr) prefetch_line(next + i * kLineBytes + static_cast<size_t>(p) * bytes);
        __m256i w_a = masked(words8(line), kEven), w_b = masked(words8(line + 32), kEven);
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) step(sums[r][p], w_a, w_b, x + static_cast<size_t>(r) * stride);
        w_a = _mm256_srli_epi16(words8(line), 8);
        w_b = _mm256_srli_epi16(words8(line + 32), 8);
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) step(sums[r][p], w_a, w_b, x + static_cast<size_t>(r) * stride + 4);
      }
    }
  }
};

struct Int4Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{6, 1}};

  // As Int8Dot::step, for four inputs; the first time it sets the sums.
  template <bool kFirst>
  GPT2_INLINE void step(I16& sum, __m256i w_a, __m256i w_b, const unsigned char* x) {
    if constexpr (kFirst) {
      __asm__("vpbroadcastd %4, %1\n\t"
              "vpmaddubsw %1, %2, %0\n\t"
              "vpmaddubsw %1, %3, %1"
              : "=&x"(sum.a), "=&x"(sum.b)
              : "x"(w_a), "x"(w_b), "m"(dword_at(x)));
    } else {
      __m256i codes, product;
      __asm__("vpbroadcastd %6, %2\n\t"
              "vpmaddubsw %2, %4, %3\n\t"
              "vpmaddubsw %2, %5, %2\n\t"
              "vpaddw %3, %0, %0\n\t"
              "vpaddw %2, %1, %1"
              : "+x"(sum.a), "+x"(sum.b), "=&x"(codes), "=&x"(product)
              : "x"(w_a), "x"(w_b), "m"(dword_at(x)));
    }
  }

  template <bool kFirst, int kR, int kP>
  GPT2_INLINE void line(I16 (&sums)[kR][kP], int p, const unsigned char* line, const unsigned char* x, size_t stride) {
    __m256i w_a = masked(words8(line), kLow), w_b = masked(words8(line + 32), kLow);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) step<kFirst>(sums[r][p], w_a, w_b, x + static_cast<size_t>(r) * stride);
    w_a = masked(_mm256_srli_epi16(words8(line), 4), kLow);
    w_b = masked(_mm256_srli_epi16(words8(line + 32), 4), kLow);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) step<false>(sums[r][p], w_a, w_b, x + static_cast<size_t>(r) * stride + 4);
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    static_assert(kLines == 4);  // 16 bits have room for 8 x 2 x 15 x 127 = 30480
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) line<true>(sums, p, lines + static_cast<size_t>(p) * bytes, x, stride);
#pragma GCC unroll 3
    for (size_t i = 1; i < kLines; ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p)
        line<false>(sums, p, lines + static_cast<size_t>(p) * bytes + i * kLineBytes, x + i * 8, stride);
    }
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p) {
        const __m256i start = _mm256_set1_epi32(offset[r]);
        sums[r][p] = {_mm256_add_epi32(_mm256_madd_epi16(sums[r][p].a, ones), start),
                      _mm256_add_epi32(_mm256_madd_epi16(sums[r][p].b, ones), start)};
      }
    }
  }
};

}  // namespace
}  // namespace gpt2
