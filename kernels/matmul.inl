// The packed matrix product around the register tile: which rows and panels meet, and the fused epilogue. The tile itself
// (tile_*.inl) is written by hand for each instruction set:
//   template <int kRows, int kPanels, class Line>
//   void tile(V16 (&acc)[kRows][kPanels], const unsigned char* lines, size_t line_stride, size_t panel_stride,
//             const float* x, size_t x_stride, size_t n_k)
// adds sum over k of x[r][k] * line(lines + p * panel_stride + k * line_stride) to acc[r][p], k ascending, one fma each.
namespace gpt2 {
namespace {

struct LineF32 {
  static constexpr size_t kBytes = 64;
  GPT2_INLINE V16 load(const unsigned char* p) { return load16(p); }
};
struct LineF16 {
  static constexpr size_t kBytes = 32;
  GPT2_INLINE V16 load(const unsigned char* p) { return load16_f16(p); }
};

GPT2_INLINE V16 apply_epilogue(Epilogue epilogue, V16 acc, const float* out) {
  switch (epilogue) {
    case Epilogue::none: return acc;
    case Epilogue::gelu_tanh: return gelu_tanh16(acc);
    case Epilogue::gelu_erf: return gelu_erf16(acc);
    case Epilogue::relu: return at_least16(set16(0.0f), acc);
    case Epilogue::residual: return add16(load16(out), acc);
  }
  return acc;
}

// Stores one row of one panel and keeps its arg-max.
GPT2_INLINE void finish_output(const MatmulArgs& args, size_t row, size_t panel, V16 acc) {
  float* out = args.out != nullptr ? args.out + row * args.out_stride + panel * kPanelRows : nullptr;
  acc = apply_epilogue(args.epilogue, acc, out);
  if (out != nullptr) store16(out, acc);
  if (args.argmax != nullptr) {
    const size_t first = panel * kPanelRows;
    const M16 valid = first_lanes(args.n_valid > first ? args.n_valid - first : 0);
    ArgmaxLanes& best = args.argmax[row];
    if (!all_finite16(acc, valid)) best.nonfinite = 1;
    update_best16(acc, valid, static_cast<int32_t>(panel), best.value, best.panel);
  }
}

template <int kRows, int kPanels>
void matmul_tile(const MatmulArgs& args, size_t row, size_t panel) {
  const size_t bytes = panel_bytes(DType::f32, args.w.n_cols);
  const unsigned char* first = args.w.data + panel * bytes;
  V16 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int p = 0; p < kPanels; ++p) {
    const V16 bias = load16(first + static_cast<size_t>(p) * bytes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r][p] = bias;
  }
  tile<kRows, kPanels, LineF32>(acc, first + panel_lines_offset(DType::f32, args.w.n_cols), kLineBytes, bytes,
                                args.x + row * args.x_stride, args.x_stride, args.w.n_cols);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      finish_output(args, row + static_cast<size_t>(r), panel + static_cast<size_t>(p), acc[r][p]);
    }
  }
}

// The tile for a row count that is known only at run time.
template <int kPanels, int kRows = kTileRows>
GPT2_INLINE void matmul_rows(const MatmulArgs& args, size_t rows, size_t row, size_t panel) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return matmul_rows<kPanels, kRows - 1>(args, rows, row, panel);
  }
  matmul_tile<kRows, kPanels>(args, row, panel);
}

// Rows in equal tiles of at most kTileRows; the weights of a panel group come from memory once and then from L2.
template <int kPanels>
void matmul_group(const MatmulArgs& args, size_t panel) {
  const size_t n_tiles = (args.n_rows + kTileRows - 1) / kTileRows;
  const size_t size = args.n_rows / n_tiles, larger = args.n_rows % n_tiles;
  for (size_t i = 0, row = 0; i < n_tiles; ++i) {
    const size_t rows = size + (i < larger ? 1 : 0);
    matmul_rows<kPanels>(args, rows, row, panel);
    row += rows;
  }
}

void matmul(const MatmulArgs& args) noexcept {
  size_t panel = args.panel_begin;
  if (args.n_rows == 1) {
    for (; panel + kGemvPanels <= args.panel_end; panel += kGemvPanels) matmul_tile<1, kGemvPanels>(args, 0, panel);
    for (; panel < args.panel_end; ++panel) matmul_tile<1, 1>(args, 0, panel);
    return;
  }
  for (; panel + kTilePanels <= args.panel_end; panel += kTilePanels) matmul_group<kTilePanels>(args, panel);
  for (; panel < args.panel_end; ++panel) matmul_group<1>(args, panel);
}

}  // namespace
}  // namespace gpt2
