// Integer dot products with the matrix instructions, exact. One row: usdot and sdot by lane. More: usmmla and smmla
// multiply 2 outputs x 8 inputs by 2 rows x 8 inputs, twice the products of a dot instruction. A line's part holds 4
// outputs x 4 inputs, so zipping the same part of two lines (int8), or the low and high nibbles of one (int4), makes
// two such operands.
namespace gpt2 {
namespace {

struct Int8Peak {
  static constexpr const char* kText = "usmmla 4s";
  using Register = int32x4_t;
  static constexpr size_t kChains = 12, kOperations = 64;
  GPT2_INLINE Register start(float /*value*/) { return vdupq_n_s32(0x01010101); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    acc = vusmmlaq_s32(acc, vreinterpretq_u8_s32(w), vreinterpretq_s8_s32(x));
  }
};
using Int4Peak = Int8Peak;

GPT2_INLINE int8x16_t load_codes(const unsigned char* x) { return vreinterpretq_s8_u8(load_bytes(x)); }
// Outputs 0 and 1 (2 and 3) of a part: inputs 0-3 from `first`, 4-7 from `second`.
GPT2_INLINE uint8x16_t zip_low(uint8x16_t first, uint8x16_t second) {
  return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(first), vreinterpretq_u32_u8(second)));
}
GPT2_INLINE uint8x16_t zip_high(uint8x16_t first, uint8x16_t second) {
  return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(first), vreinterpretq_u32_u8(second)));
}

// Several rows of one panel, two rows at a time: sums[2 q] holds outputs 0 and 1 of part q by both rows, sums[2 q + 1]
// outputs 2 and 3. The last row of an odd number is its own partner.
template <int kR>
struct RowPairs {
  static constexpr int kPairs = (kR + 1) / 2;
  using Sums = int32x4_t[8][kPairs];
  using Codes = int8x16_t[kPairs];  // eight of each row
  GPT2_INLINE constexpr int partner(int i) { return 2 * i + 1 < kR ? 2 * i + 1 : 2 * i; }

  GPT2_INLINE void load(Codes& codes, const unsigned char* x, size_t stride) {
#pragma GCC unroll 4
    for (int i = 0; i < kPairs; ++i) {
      const uint8x8_t first = vld1_u8(x + static_cast<size_t>(2 * i) * stride);
      codes[i] = vreinterpretq_s8_u8(vcombine_u8(first, vld1_u8(x + static_cast<size_t>(partner(i)) * stride)));
    }
  }
  GPT2_INLINE void start(Sums& sums, const int32_t (&offset)[kR]) {
#pragma GCC unroll 4
    for (int i = 0; i < kPairs; ++i) {
      const int32x2_t both = {offset[2 * i], offset[partner(i)]};
#pragma GCC unroll 8
      for (int q = 0; q < 8; ++q) sums[q][i] = vcombine_s32(both, both);
    }
  }
  template <int kP>
  GPT2_INLINE void finish(I16 (&out)[kR][kP], int p, const Sums& sums) {
#pragma GCC unroll 4
    for (int i = 0; i < kPairs; ++i) {
      out[2 * i][p] = {vuzp1q_s32(sums[0][i], sums[1][i]), vuzp1q_s32(sums[2][i], sums[3][i]),
                       vuzp1q_s32(sums[4][i], sums[5][i]), vuzp1q_s32(sums[6][i], sums[7][i])};
      if (2 * i + 1 == kR) break;
      out[2 * i + 1][p] = {vuzp2q_s32(sums[0][i], sums[1][i]), vuzp2q_s32(sums[2][i], sums[3][i]),
                           vuzp2q_s32(sums[4][i], sums[5][i]), vuzp2q_s32(sums[6][i], sums[7][i])};
    }
  }
};

// 6 rows: 24 sums, 3 registers of activations, two parts and what they zip to.
struct Int8Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 4, kRoom = 0;
  static constexpr TileShape kTiles[] = {{6, 1}};

  template <int kLane, int kP>
  GPT2_INLINE void line(I16 (&sums)[1][kP], const unsigned char* lines, size_t bytes, int8x16_t codes) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      uint8x16_t w[4];
      load_line(w, lines);
      I16& sum = sums[0][p];
      sum = {vusdotq_laneq_s32(sum.a, w[0], codes, kLane), vusdotq_laneq_s32(sum.b, w[1], codes, kLane),
             vusdotq_laneq_s32(sum.c, w[2], codes, kLane), vusdotq_laneq_s32(sum.d, w[3], codes, kLane)};
    }
  }
  template <size_t kLines, int kP>
  GPT2_INLINE void one_row(I16 (&sums)[1][kP], int32_t offset, const unsigned char* lines, size_t bytes,
                           const unsigned char* x) {
    const int32x4_t start = vdupq_n_s32(offset);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) sums[0][p] = {start, start, start, start};
    for (size_t i = 0; i < kLines; i += 4, lines += 4 * kLineBytes, x += 16) {
      const int8x16_t codes = load_codes(x);
      line<0>(sums, lines, bytes, codes);
      line<1>(sums, lines + kLineBytes, bytes, codes);
      line<2>(sums, lines + 2 * kLineBytes, bytes, codes);
      line<3>(sums, lines + 3 * kLineBytes, bytes, codes);
    }
  }
  template <size_t kLines, int kR>
  GPT2_INLINE void rows(typename RowPairs<kR>::Sums& sums, const unsigned char* lines, const unsigned char* x,
                        size_t stride) {
    for (size_t i = 0; i < kLines; i += 2, lines += 2 * kLineBytes, x += 8) {
      typename RowPairs<kR>::Codes codes;
      RowPairs<kR>::load(codes, x, stride);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const uint8x16_t first = load_bytes(lines + 16 * q), second = load_bytes(lines + kLineBytes + 16 * q);
        const uint8x16_t low = zip_low(first, second), high = zip_high(first, second);
#pragma GCC unroll 4
        for (int r = 0; r < RowPairs<kR>::kPairs; ++r) {
          sums[2 * q][r] = vusmmlaq_s32(sums[2 * q][r], low, codes[r]);
          sums[2 * q + 1][r] = vusmmlaq_s32(sums[2 * q + 1][r], high, codes[r]);
        }
      }
    }
  }
  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    if constexpr (kR == 1) {
      one_row<kLines>(sums, offset[0], lines, bytes, x);
    } else {
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p, lines += bytes) {
        typename RowPairs<kR>::Sums pairs;
        RowPairs<kR>::start(pairs, offset);
        rows<kLines, kR>(pairs, lines, x, stride);
        RowPairs<kR>::finish(sums, p, pairs);
      }
    }
  }
};

struct Int4Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 4, kRoom = 0;
  static constexpr TileShape kTiles[] = {{6, 1}};

  GPT2_INLINE uint8x16_t low_codes(uint8x16_t both) { return vandq_u8(both, vdupq_n_u8(15)); }
  GPT2_INLINE uint8x16_t high_codes(uint8x16_t both) { return vshrq_n_u8(both, 4); }

  template <int kLane>
  GPT2_INLINE int32x4_t part(int32x4_t sum, uint8x16_t both, int8x16_t codes) {
    sum = vdotq_laneq_s32(sum, vreinterpretq_s8_u8(low_codes(both)), codes, kLane);
    return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(high_codes(both)), codes, kLane + 1);
  }
  template <int kLane, int kP>
  GPT2_INLINE void line(I16 (&sums)[1][kP], const unsigned char* lines, size_t bytes, int8x16_t codes) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      uint8x16_t w[4];
      load_line(w, lines);
      I16& sum = sums[0][p];
      sum = {part<kLane>(sum.a, w[0], codes), part<kLane>(sum.b, w[1], codes), part<kLane>(sum.c, w[2], codes),
             part<kLane>(sum.d, w[3], codes)};
    }
  }
  template <size_t kLines, int kP>
  GPT2_INLINE void one_row(I16 (&sums)[1][kP], int32_t offset, const unsigned char* lines, size_t bytes,
                           const unsigned char* x) {
    const int32x4_t start = vdupq_n_s32(offset);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) sums[0][p] = {start, start, start, start};
    for (size_t i = 0; i < kLines; i += 2, lines += 2 * kLineBytes, x += 16) {
      const int8x16_t codes = load_codes(x);
      line<0>(sums, lines, bytes, codes);
      line<2>(sums, lines + kLineBytes, bytes, codes);
    }
  }
  template <size_t kLines, int kR>
  GPT2_INLINE void rows(typename RowPairs<kR>::Sums& sums, const unsigned char* lines, const unsigned char* x,
                        size_t stride) {
    for (size_t i = 0; i < kLines; ++i, lines += kLineBytes, x += 8) {
      typename RowPairs<kR>::Codes codes;
      RowPairs<kR>::load(codes, x, stride);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const uint8x16_t both = load_bytes(lines + 16 * q), first = low_codes(both), second = high_codes(both);
        const int8x16_t low = vreinterpretq_s8_u8(zip_low(first, second)),
                        high = vreinterpretq_s8_u8(zip_high(first, second));
#pragma GCC unroll 4
        for (int r = 0; r < RowPairs<kR>::kPairs; ++r) {
          sums[2 * q][r] = vmmlaq_s32(sums[2 * q][r], low, codes[r]);
          sums[2 * q + 1][r] = vmmlaq_s32(sums[2 * q + 1][r], high, codes[r]);
        }
      }
    }
  }
  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    if constexpr (kR == 1) {
      one_row<kLines>(sums, offset[0], lines, bytes, x);
    } else {
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p, lines += bytes) {
        typename RowPairs<kR>::Sums pairs;
        RowPairs<kR>::start(pairs, offset);
        rows<kLines, kR>(pairs, lines, x, stride);
        RowPairs<kR>::finish(sums, p, pairs);
      }
    }
  }
};

}  // namespace
}  // namespace gpt2
