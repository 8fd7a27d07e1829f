// Integer dot products with baseline NEON, exact: products of 8 bits are added in 16 bits only where they have room.
namespace gpt2 {
namespace {

GPT2_INLINE int8x16_t broadcast_codes(const unsigned char* x) {
  return vreinterpretq_s8_s32(vld1q_dup_s32(static_cast<const int32_t*>(static_cast<const void*>(x))));
}

struct Int8Peak {
  static constexpr const char* kText = "smull + smlal2 + sadalp";
  using Register = int32x4_t;
  static constexpr size_t kChains = 12, kOperations = 32;
  GPT2_INLINE Register start(float /*value*/) { return vdupq_n_s32(0x01010101); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    GPT2_OPAQUE(x);  // else one product for all chains
    const int8x16_t a = vreinterpretq_s8_s32(w), b = vreinterpretq_s8_s32(x);
    acc = vpadalq_s16(acc, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
  }
};
using Int4Peak = Int8Peak;

// Calls `quarters` for the parts of a panel: rows and parts share the registers, two sums a row and part.
// Up to 2 rows take the whole line (4 parts), 3 and 4 rows half of it at a time.
template <class Dot, size_t kLines, int kR, int kP>
GPT2_INLINE void group_by_parts(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines,
                                size_t bytes, const unsigned char* x, size_t stride) {
#pragma GCC unroll 4
  for (int p = 0; p < kP; ++p, lines += bytes) {
    constexpr int kParts = kR <= 2 ? 4 : 2;
    int32x4_t first[kR][kParts], second[kR][kParts];
    Dot::template parts<kLines>(first, offset, lines, x, stride);
    if constexpr (kParts == 2) Dot::template parts<kLines>(second, offset, lines + 32, x, stride);
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
      if constexpr (kParts == 2) {
        sums[r][p] = {first[r][0], first[r][1], second[r][0], second[r][1]};
      } else {
        sums[r][p] = {first[r][0], first[r][1], first[r][2], first[r][3]};
      }
    }
  }
}

struct Int8Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{4, 1}};

  // Two lines at a time: 16 bits have room for two products, 2 x 128 x 127 < 2^15, of a weight (code - 128) and an
  // activation.
  template <size_t kLines, int kR, int kQ>
  GPT2_INLINE void parts(int32x4_t (&sums)[kR][kQ], const int32_t (&/*offset*/)[kR], const unsigned char* lines,
                         const unsigned char* x, size_t stride) {
    const uint8x16_t middle = vdupq_n_u8(0x80);
    int32x4_t low[kR][kQ], high[kR][kQ];  // outputs 0, 0, 1, 1 and 2, 2, 3, 3 of each part
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) low[r][q] = high[r][q] = vdupq_n_s32(0);
    }
    for (size_t i = 0; i < kLines; i += 2, lines += 2 * kLineBytes, x += 8) {
      int8x16_t first[kR], second[kR];
#pragma GCC unroll 4
      for (int r = 0; r < kR; ++r) {
        first[r] = broadcast_codes(x + static_cast<size_t>(r) * stride);
        second[r] = broadcast_codes(x + static_cast<size_t>(r) * stride + 4);
      }
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) {
        const int8x16_t w = vreinterpretq_s8_u8(veorq_u8(load_bytes(lines + 16 * q), middle));
        const int8x16_t v = vreinterpretq_s8_u8(veorq_u8(load_bytes(lines + kLineBytes + 16 * q), middle));
#pragma GCC unroll 4
        for (int r = 0; r < kR; ++r) {
          const int16x8_t product = vmull_s8(vget_low_s8(w), vget_low_s8(first[r]));
          low[r][q] = vpadalq_s16(low[r][q], vmlal_s8(product, vget_low_s8(v), vget_low_s8(second[r])));
          high[r][q] = vpadalq_s16(high[r][q], vmlal_high_s8(vmull_high_s8(w, first[r]), v, second[r]));
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) sums[r][q] = vpaddq_s32(low[r][q], high[r][q]);
    }
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    group_by_parts<Int8Dot, kLines>(sums, offset, lines, bytes, x, stride);
  }
};

struct Int4Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 2, kRoom = 0;
  static constexpr TileShape kTiles[] = {{4, 1}};

  // Codes of 0..15: 16 bits have room for the whole group twice over, 2 x 8 x 15 x 127 = 30480.
  template <size_t kLines, int kR, int kQ>
  GPT2_INLINE void parts(int32x4_t (&sums)[kR][kQ], const int32_t (&offset)[kR], const unsigned char* lines,
                         const unsigned char* x, size_t stride) {
    static_assert(kLines == 4);
    const uint8x16_t mask = vdupq_n_u8(15);
    int16x8_t low[kR][kQ], high[kR][kQ];  // outputs 0 and 1, 2 and 3 of each part, four sums each
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) low[r][q] = high[r][q] = vdupq_n_s16(0);
    }
    for (size_t i = 0; i < kLines; ++i, lines += kLineBytes, x += 8) {
      int8x16_t first[kR], second[kR];
#pragma GCC unroll 4
      for (int r = 0; r < kR; ++r) {
        first[r] = broadcast_codes(x + static_cast<size_t>(r) * stride);
        second[r] = broadcast_codes(x + static_cast<size_t>(r) * stride + 4);
      }
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) {
        const uint8x16_t line = load_bytes(lines + 16 * q);
        const int8x16_t w = vreinterpretq_s8_u8(vandq_u8(line, mask)), v = vreinterpretq_s8_u8(vshrq_n_u8(line, 4));
#pragma GCC unroll 4
        for (int r = 0; r < kR; ++r) {
          low[r][q] = vmlal_s8(low[r][q], vget_low_s8(w), vget_low_s8(first[r]));
          high[r][q] = vmlal_high_s8(high[r][q], w, first[r]);
          low[r][q] = vmlal_s8(low[r][q], vget_low_s8(v), vget_low_s8(second[r]));
          high[r][q] = vmlal_high_s8(high[r][q], v, second[r]);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int q = 0; q < kQ; ++q) sums[r][q] = vpadalq_s16(vdupq_n_s32(offset[r]), vpaddq_s16(low[r][q], high[r][q]));
    }
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    group_by_parts<Int4Dot, kLines>(sums, offset, lines, bytes, x, stride);
  }
};

}  // namespace
}  // namespace gpt2
