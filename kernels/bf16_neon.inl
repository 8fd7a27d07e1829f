// bf16 weights without a dot instruction: both halves of a line become floats and take one fmla by lane each, k
// ascending; activations stay f32. The same bits as scalar.
namespace gpt2 {
namespace {

GPT2_INLINE void prepare_bf16(const float* x, size_t n_cols, unsigned char* row) {
  __builtin_memcpy(row, x, n_cols * sizeof(float));
}

using Bf16Peak = F32Peak;

struct Bf16Product {
  static constexpr int kOneRowPanels = kGemvPanels;
  static constexpr TileShape kTiles[] = {{kTileRows, kTilePanels}};

  // Four outputs: inputs kLane and kLane + 1 of every row. `kBoth` is false for the last input of an odd number.
  template <int kLane, bool kBoth, int kR>
  GPT2_INLINE void part(float32x4_t (&acc)[kR], uint8x16_t w, const float32x4_t (&x)[kR]) {
    const uint32x4_t pairs = vreinterpretq_u32_u8(w);
    const float32x4_t first = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) acc[r] = vfmaq_laneq_f32(acc[r], first, x[r], kLane);
    if constexpr (kBoth) {
      const float32x4_t second = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000u)));
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) acc[r] = vfmaq_laneq_f32(acc[r], second, x[r], kLane + 1);
    }
  }

  template <int kLane, bool kBoth, int kR, int kP>
  GPT2_INLINE void line(float32x4_t (&acc)[kP][4][kR], const unsigned char* lines, size_t bytes,
                        const float32x4_t (&x)[kR]) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
      uint8x16_t w[4];
      load_line(w, lines);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) part<kLane, kBoth>(acc[p][j], w[j], x);
    }
  }

  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&sums)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& /*ahead*/) {
    const unsigned char* lines = panel + panel_lines_offset(DType::bf16, args.w.n_cols);
    const size_t n = args.w.n_cols;
    float32x4_t acc[kP][4][kR], inputs[kR];
    split(acc, sums);
    size_t k = 0;
    for (; k + 4 <= n; k += 4, lines += 2 * kLineBytes, x += 4 * sizeof(float)) {
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) inputs[r] = load4(x + static_cast<size_t>(r) * args.x_stride);
      line<0, true>(acc, lines, bytes, inputs);
      line<2, true>(acc, lines + kLineBytes, bytes, inputs);
    }
    for (; k < n; k += 2, lines += kLineBytes, x += 2 * sizeof(float)) {
#pragma GCC unroll 8
      for (int r = 0; r < kR; ++r) {
        float pair[4] = {};
        __builtin_memcpy(pair, x + static_cast<size_t>(r) * args.x_stride, (k + 1 < n ? 2 : 1) * sizeof(float));
        inputs[r] = vld1q_f32(pair);
      }
      if (k + 1 < n) {
        line<0, true>(acc, lines, bytes, inputs);
      } else {
        line<0, false>(acc, lines, bytes, inputs);
      }
    }
    join(sums, acc);
  }
};

}  // namespace
}  // namespace gpt2
