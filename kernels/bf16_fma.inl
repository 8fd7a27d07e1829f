// bf16 weights without a dot instruction: both halves of a line become floats and take one fma each, k ascending;
// activations stay f32. The same bits as scalar.
namespace gpt2 {
namespace {

GPT2_INLINE void prepare_bf16(const float* x, size_t n_cols, unsigned char* row) {
  __builtin_memcpy(row, x, n_cols * sizeof(float));
}

using Bf16Peak = F32Peak;

struct Bf16Product {
  static constexpr int kOneRowPanels = kGemvPanels;
  static constexpr TileShape kTiles[] = {{kTileRows, kTilePanels}};

  template <int kR, int kP>
  GPT2_INLINE void multiply(V16 (&acc)[kR][kP], const V16 (&w)[kP], const unsigned char* x, size_t stride) {
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      float value;
      __builtin_memcpy(&value, x + static_cast<size_t>(r) * stride, sizeof value);
      const V16 xr = set16(value);
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) acc[r][p] = fma16(w[p], xr, acc[r][p]);
    }
  }

  template <int kR, int kP>
  GPT2_INLINE void lines(V16 (&acc)[kR][kP], const unsigned char* lines, size_t bytes, const unsigned char* x,
                         size_t stride, size_t n_cols) {
    for (size_t k = 0; k < n_cols; k += 2, lines += kLineBytes, x += 2 * sizeof(float)) {
      V16 w[kP];
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) w[p] = bf16_low16(lines + static_cast<size_t>(p) * bytes);
      multiply<kR, kP>(acc, w, x, stride);
      if (k + 1 == n_cols) break;
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) w[p] = bf16_high16(lines + static_cast<size_t>(p) * bytes);
      multiply<kR, kP>(acc, w, x + sizeof(float), stride);
    }
  }

  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&acc)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& ahead) {
    const size_t offset = panel_lines_offset(DType::bf16, args.w.n_cols), n_lines = (args.w.n_cols + 1) / 2;
    in_parts<(kFetchAhead && kR > 1), kP>(
        n_lines, offset, bytes, ahead, [&](size_t first, size_t n) __attribute__((always_inline)) {
          const size_t n_cols = 2 * (first + n) <= args.w.n_cols ? 2 * n : args.w.n_cols - 2 * first;
          lines<kR, kP>(acc, panel + offset + first * kLineBytes, bytes, x + 2 * first * sizeof(float), args.x_stride,
                        n_cols);
        });
  }
};

}  // namespace
}  // namespace gpt2
