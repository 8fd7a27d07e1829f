// The register tile for NEON: 5 rows x 1 panel (four q registers) keep 20 accumulators, four inputs of each row in 5
// registers that fmla takes by lane, and the parts of a line, in 32 registers. 6 rows would need a load and broadcast
// for each row and input, which costs the pipes of the fmla's.
namespace gpt2 {
namespace {

static constexpr int kTileRows = 5, kTilePanels = 1;  // many rows
static constexpr int kGemvPanels = 4;                 // one row: four streams of weights
static constexpr int kAttentionRows = 5, kAttentionPanels = 1;

// Not measured here: whether the tiles of few rows should fetch the next panel of f32 and bf16 (tile_avx2.inl).
static constexpr bool kFetchAhead = false;

struct F32Peak {
  static constexpr const char* kText = "fmla 4s";
  using Register = float32x4_t;
  static constexpr size_t kChains = 12, kOperations = 8;
  GPT2_INLINE Register start(float value) { return vdupq_n_f32(value); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) { acc = vfmaq_f32(w, acc, x); }
};

// Accumulators of some rows and panels, by the four parts of a line: a part of the weights meets all rows before the
// next is loaded.
template <int kR, int kP>
GPT2_INLINE void split(float32x4_t (&parts)[kP][4][kR], const V16 (&sums)[kR][kP]) {
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) {
      parts[p][0][r] = sums[r][p].a;
      parts[p][1][r] = sums[r][p].b;
      parts[p][2][r] = sums[r][p].c;
      parts[p][3][r] = sums[r][p].d;
    }
  }
}
template <int kR, int kP>
GPT2_INLINE void join(V16 (&sums)[kR][kP], const float32x4_t (&parts)[kP][4][kR]) {
#pragma GCC unroll 8
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p) sums[r][p] = {parts[p][0][r], parts[p][1][r], parts[p][2][r], parts[p][3][r]};
  }
}

template <int kLane>
GPT2_INLINE V16 fma16_lane(V16 w, float32x4_t x, V16 acc) {
  return {vfmaq_laneq_f32(acc.a, w.a, x, kLane), vfmaq_laneq_f32(acc.b, w.b, x, kLane),
          vfmaq_laneq_f32(acc.c, w.c, x, kLane), vfmaq_laneq_f32(acc.d, w.d, x, kLane)};
}

// One line of each panel times one input of each row.
template <int kLane, int kRows, int kPanels, class Line>
GPT2_INLINE void tile_line(V16 (&acc)[kRows][kPanels], const unsigned char* line, size_t panel_stride,
                           const float32x4_t (&x)[kRows]) {
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
    const V16 w = Line::load(line + static_cast<size_t>(p) * panel_stride);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[r][p] = fma16_lane<kLane>(w, x[r], acc[r][p]);
  }
}

template <int kRows, int kPanels, class Line>
GPT2_INLINE void tile(V16 (&acc)[kRows][kPanels], const unsigned char* lines, size_t line_stride, size_t panel_stride,
                      const float* x, size_t x_stride, size_t n_k) {
  float32x4_t inputs[kRows];
  size_t k = 0;
  for (; k + 4 <= n_k; k += 4, lines += 4 * line_stride) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) inputs[r] = vld1q_f32(x + static_cast<size_t>(r) * x_stride + k);
    tile_line<0, kRows, kPanels, Line>(acc, lines, panel_stride, inputs);
    tile_line<1, kRows, kPanels, Line>(acc, lines + line_stride, panel_stride, inputs);
    tile_line<2, kRows, kPanels, Line>(acc, lines + 2 * line_stride, panel_stride, inputs);
    tile_line<3, kRows, kPanels, Line>(acc, lines + 3 * line_stride, panel_stride, inputs);
  }
  for (; k < n_k; ++k, lines += line_stride) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) inputs[r] = vdupq_n_f32(x[static_cast<size_t>(r) * x_stride + k]);
    tile_line<0, kRows, kPanels, Line>(acc, lines, panel_stride, inputs);
  }
}

}  // namespace
}  // namespace gpt2
