// Integer dot products by sdot, exact: four lines share one register of 16 activations, which the instruction takes by
// lane. Signed weights are the code with its top bit turned (int8) or the code itself (int4).
namespace gpt2 {
namespace {

struct Int8Peak {
  static constexpr const char* kText = "sdot 4s";
  using Register = int32x4_t;
  static constexpr size_t kChains = 12, kOperations = 32;
  GPT2_INLINE Register start(float /*value*/) { return vdupq_n_s32(0x01010101); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    acc = vdotq_s32(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x));
  }
};
using Int4Peak = Int8Peak;

// Sums by panel, part of a line and row: a part of the weights meets all rows before the next is loaded.
template <int kR, int kP>
GPT2_INLINE void start_sums(int32x4_t (&acc)[kP][4][kR], const int32_t (&start)[kR]) {
#pragma GCC unroll 4
  for (int p = 0; p < kP; ++p) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) acc[p][q][r] = vdupq_n_s32(start[r]);
    }
  }
}
template <int kR, int kP>
GPT2_INLINE void store_sums(I16 (&sums)[kR][kP], const int32x4_t (&acc)[kP][4][kR]) {
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) sums[r][p] = {acc[p][0][r], acc[p][1][r], acc[p][2][r], acc[p][3][r]};
  }
}
template <int kR>
GPT2_INLINE void load_codes(int8x16_t (&codes)[kR], const unsigned char* x, size_t stride) {
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) codes[r] = vreinterpretq_s8_u8(load_bytes(x + static_cast<size_t>(r) * stride));
}

// 5 rows: 20 sums, 5 registers of activations, the parts of a line and a constant.
struct Int8Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 4, kRoom = 0;
  static constexpr TileShape kTiles[] = {{5, 1}};

  template <int kLane, int kR, int kP>
  GPT2_INLINE void line(int32x4_t (&acc)[kP][4][kR], const unsigned char* lines, size_t bytes,
                        const int8x16_t (&codes)[kR]) {
    const uint8x16_t middle = vdupq_n_u8(0x80);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      uint8x16_t parts[4];
      load_line(parts, lines);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const int8x16_t w = vreinterpretq_s8_u8(veorq_u8(parts[q], middle));
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) acc[p][q][r] = vdotq_laneq_s32(acc[p][q][r], w, codes[r], kLane);
      }
    }
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&/*offset*/)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    int32x4_t acc[kP][4][kR];
    constexpr int32_t kZeros[kR] = {};
    start_sums(acc, kZeros);
    for (size_t i = 0; i < kLines; i += 4, lines += 4 * kLineBytes, x += 16) {
      int8x16_t codes[kR];
      load_codes(codes, x, stride);
      line<0>(acc, lines, bytes, codes);
      line<1>(acc, lines + kLineBytes, bytes, codes);
      line<2>(acc, lines + 2 * kLineBytes, bytes, codes);
      line<3>(acc, lines + 3 * kLineBytes, bytes, codes);
    }
    store_sums(sums, acc);
  }
};

struct Int4Dot {
  using Codes = ByteCodes;
  static constexpr int kOneRowPanels = 4, kRoom = 0;
  static constexpr TileShape kTiles[] = {{5, 1}};

  template <int kLane, int kR, int kP>
  GPT2_INLINE void line(int32x4_t (&acc)[kP][4][kR], const unsigned char* lines, size_t bytes,
                        const int8x16_t (&codes)[kR]) {
    const uint8x16_t mask = vdupq_n_u8(15);
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      uint8x16_t parts[4];
      load_line(parts, lines);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(parts[q], mask)),
                        high = vreinterpretq_s8_u8(vshrq_n_u8(parts[q], 4));
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) acc[p][q][r] = vdotq_laneq_s32(acc[p][q][r], low, codes[r], kLane);
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) acc[p][q][r] = vdotq_laneq_s32(acc[p][q][r], high, codes[r], kLane + 1);
      }
    }
  }

  template <size_t kLines, int kR, int kP>
  GPT2_INLINE void group(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                         const unsigned char* x, size_t stride) {
    int32x4_t acc[kP][4][kR];
    start_sums(acc, offset);
    for (size_t i = 0; i < kLines; i += 2, lines += 2 * kLineBytes, x += 16) {
      int8x16_t codes[kR];
      load_codes(codes, x, stride);
      line<0>(acc, lines, bytes, codes);
      line<2>(acc, lines + kLineBytes, bytes, codes);
    }
    store_sums(sums, acc);
  }
};

}  // namespace
}  // namespace gpt2
