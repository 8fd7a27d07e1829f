// bf16 weights by bfdot: pairs of bf16 products added to f32. Activations are rounded to bf16 too, for one row and for
// many; this instruction rounds in its own way, so bf16 has the same bits within this tier only.
namespace gpt2 {
namespace {

// n_cols bf16, and a zero behind an odd one.
GPT2_INLINE void prepare_bf16(const float* x, size_t n_cols, unsigned char* row) {
  for (size_t i = 0; i < n_cols; i += 16, row += 16 * sizeof(uint16_t)) {
    const V16 v = i + 16 <= n_cols ? load16(x + i) : load16_first(x + i, first_lanes(n_cols - i));
    const bfloat16x8_t low = vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(v.a), v.b);
    const bfloat16x8_t high = vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(v.c), v.d);
    vst1q_u8(row, vreinterpretq_u8_bf16(low));
    vst1q_u8(row + 16, vreinterpretq_u8_bf16(high));
  }
}

struct Bf16Peak {
  static constexpr const char* kText = "bfdot 4s";
  using Register = float32x4_t;
  static constexpr size_t kChains = 12, kOperations = 16;
  GPT2_INLINE Register start(float value) { return vdupq_n_f32(value); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    acc = vbfdotq_f32(acc, vreinterpretq_bf16_f32(w), vreinterpretq_bf16_f32(x));
  }
};

struct Bf16Product {
  static constexpr int kOneRowPanels = kGemvPanels;
  static constexpr TileShape kTiles[] = {{kTileRows, kTilePanels}};

  // One line of each panel times the pair of inputs kLane of every row. Half a line at a time: with a whole one in
  // registers GCC 12 spills an accumulator of 5 rows.
  template <int kLane, int kR, int kP>
  GPT2_INLINE void line(float32x4_t (&acc)[kP][4][kR], const unsigned char* lines, size_t bytes,
                        const bfloat16x8_t (&x)[kR]) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p, lines += bytes) {
#pragma GCC unroll 2
      for (int j = 0; j < 4; j += 2) {
        const bfloat16x8_t first = vreinterpretq_bf16_u8(load_bytes(lines + 16 * j));
        const bfloat16x8_t second = vreinterpretq_bf16_u8(load_bytes(lines + 16 * j + 16));
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) acc[p][j][r] = vbfdotq_laneq_f32(acc[p][j][r], first, x[r], kLane);
#pragma GCC unroll 8
        for (int r = 0; r < kR; ++r) acc[p][j + 1][r] = vbfdotq_laneq_f32(acc[p][j + 1][r], second, x[r], kLane);
      }
    }
  }

  template <int kR>
  GPT2_INLINE void load_inputs(bfloat16x8_t (&inputs)[kR], const unsigned char* x, size_t stride) {
#pragma GCC unroll 8
    for (int r = 0; r < kR; ++r) inputs[r] = vreinterpretq_bf16_u8(load_bytes(x + static_cast<size_t>(r) * stride));
  }

  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&sums)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& /*ahead*/) {
    const unsigned char* lines = panel + panel_lines_offset(DType::bf16, args.w.n_cols);
    float32x4_t acc[kP][4][kR];
    split(acc, sums);
    // A row is padded to 64 bytes, so the last eight inputs can be loaded whole; those past n_cols are not used.
    size_t left = (args.w.n_cols + 1) / 2;  // lines
    bfloat16x8_t inputs[kR];
    for (; left >= 4; left -= 4, lines += 4 * kLineBytes, x += 8 * sizeof(uint16_t)) {
      load_inputs(inputs, x, args.x_stride);
      line<0>(acc, lines, bytes, inputs);
      line<1>(acc, lines + kLineBytes, bytes, inputs);
      line<2>(acc, lines + 2 * kLineBytes, bytes, inputs);
      line<3>(acc, lines + 3 * kLineBytes, bytes, inputs);
    }
    if (left > 0) {
      load_inputs(inputs, x, args.x_stride);
      line<0>(acc, lines, bytes, inputs);
      if (left > 1) line<1>(acc, lines + kLineBytes, bytes, inputs);
      if (left > 2) line<2>(acc, lines + 2 * kLineBytes, bytes, inputs);
    }
    join(sums, acc);
  }
};

}  // namespace
}  // namespace gpt2
