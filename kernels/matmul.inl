// The packed matrix product around the register tiles: which rows and panels meet, and the fused epilogue. A product
// (one per weight type, below and in bf16_*.inl) adds w x to the accumulators of some rows and panels, k ascending, and
// names its tiles: kTiles for few rows first, of which the first that holds all rows is used, else the last;
// kOneRowPanels for one row.
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

GPT2_INLINE const float* as_floats(const unsigned char* p) {
  return static_cast<const float*>(static_cast<const void*>(p));
}

struct F32Product {
  static constexpr int kOneRowPanels = kGemvPanels;
  static constexpr TileShape kTiles[] = {{kTileRows, kTilePanels}};
  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&acc)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& ahead) {
    const size_t offset = panel_lines_offset(DType::f32, args.w.n_cols);
    in_parts<(kFetchAhead && kR > 1), kP>(
        args.w.n_cols, offset, bytes, ahead, [&](size_t first, size_t n) __attribute__((always_inline)) {
          tile<kR, kP, LineF32>(acc, panel + offset + first * kLineBytes, kLineBytes, bytes, as_floats(x) + first,
                                args.x_stride / sizeof(float), n);
        });
  }
};

// Fetches a group's lines of each panel, all at once.
template <size_t kLines, int kP>
GPT2_INLINE void fetch_group(const unsigned char* lines, size_t bytes) {
#pragma GCC unroll 4
  for (size_t i = 0; i < kLines; ++i) {
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) prefetch_line(lines + i * kLineBytes + static_cast<size_t>(p) * bytes);
  }
}

// Whole groups: an exact integer each, then one fma. `Dot` (dot_*.inl) says how the tier multiplies the lines of a
// group's codes:
//   void group<kLines>(I16 sums[kR][kP], const int32_t offset[kR], lines, bytes from panel to panel, x, bytes from row
//                      to row)
// leaves offset + sum of w x. kRoom: how many vectors of sums and accumulators together the registers hold. One with
// kFetches takes where the next group stands too (nullptr: nowhere) and fetches it line by line between its own lines,
// where a burst would wait for memory: decode of int8 on Zen 3 went from 62 to 82 % of the read bandwidth.
template <DType kType, class Dot>
struct GroupProduct {
  static constexpr int kOneRowPanels = Dot::kOneRowPanels;
  static constexpr auto& kTiles = Dot::kTiles;
  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&acc)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& ahead) {
    constexpr size_t kLines = layout_of(kType).k_per_group / layout_of(kType).k_per_line;
    constexpr size_t kStep = layout_of(kType).k_per_group * Dot::Codes::kBytes;
    const size_t n_cols = args.w.n_cols, stride = args.x_stride;
    const unsigned char* lines = panel + panel_lines_offset(kType, n_cols);
    const unsigned char* weight_scales = panel + panel_scales_offset();
    const unsigned char* scales = x + row_scales_offset(kType, n_cols);
    const unsigned char* offsets = x + row_offsets_offset(kType, n_cols);
    size_t until_ahead = ahead.tile + 1;  // groups
    for (size_t g = 0; g < groups_of(kType, n_cols); ++g, lines += kLines * kLineBytes, x += kStep) {
      // Else the compiler keeps these in registers and spills the sums, once a line.
      if constexpr (2 * kR * kP > Dot::kRoom) {
#pragma GCC unroll 16
        for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 8
          for (int p = 0; p < kP; ++p) __asm__ volatile("" : "+m"(acc[r][p]));
        }
      }
      int32_t offset[kR];
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) {
        __builtin_memcpy(&offset[r], offsets + static_cast<size_t>(r) * stride + g * sizeof(int32_t), sizeof(int32_t));
      }
      const unsigned char* next = nullptr;
      if (ahead.panel != nullptr && --until_ahead == 0) {
        until_ahead = ahead.n_tiles;
        next = ahead.panel + (lines - panel);
        const unsigned char* next_scales = ahead.panel + (weight_scales - panel) + g * kPanelRows * sizeof(uint16_t);
#pragma GCC unroll 8
        for (int p = 0; p < kP; ++p) prefetch_line(next_scales + static_cast<size_t>(p) * bytes);
      }
      I16 sums[kR][kP];
      if constexpr (requires { Dot::kFetches; }) {
        Dot::template group<kLines>(sums, offset, lines, bytes, x, stride, next);
      } else {
        if (next != nullptr) fetch_group<kLines, kP>(next, bytes);
        Dot::template group<kLines>(sums, offset, lines, bytes, x, stride);
      }
      V16 weight_scale[kP];
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) {
        weight_scale[p] =
            load16_f16(weight_scales + static_cast<size_t>(p) * bytes + g * kPanelRows * sizeof(uint16_t));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) {
        float scale;
        __builtin_memcpy(&scale, scales + static_cast<size_t>(r) * stride + g * sizeof(float), sizeof scale);
#pragma GCC unroll 8
        for (int p = 0; p < kP; ++p) {
          const V16 sum = to_float16(sums[r][p]);
          acc[r][p] = fma16(sum, mul16(weight_scale[p], set16(scale)), acc[r][p]);
        }
      }
    }
  }
};

template <Epilogue kEpilogue>
GPT2_INLINE V16 apply_epilogue(V16 acc, const float* out) {
  switch (kEpilogue) {
    case Epilogue::none: return acc;
    case Epilogue::gelu_tanh:
    case Epilogue::gated_gelu_tanh: return gelu_tanh16(acc);
    case Epilogue::gelu_erf:
    case Epilogue::gated_gelu_erf: return gelu_erf16(acc);
    case Epilogue::relu:
    case Epilogue::gated_relu: return at_least16(set16(0.0f), acc);
    case Epilogue::silu:
    case Epilogue::gated_silu: return silu16(acc);
    case Epilogue::residual: return add16(load16(out), acc);
  }
  return acc;
}

// The accumulators of a tile, [rows][panels][16], and which outputs they are.
struct TileSums {
  const float* sums;
  size_t row, rows, panel, panels;
};

GPT2_INLINE void keep_best(const MatmulArgs& args, size_t row, size_t panel, V16 values) {
  const size_t first = panel * kPanelRows;
  const M16 valid = first_lanes(args.n_valid > first ? args.n_valid - first : 0);
  ArgmaxLanes& best = args.argmax[row];
  if (!all_finite16(values, first_lanes(kPanelRows))) best.nonfinite = 1;
  update_best16(values, valid, static_cast<int32_t>(panel), best.value, best.panel);
}

template <Epilogue kEpilogue>
GPT2_INLINE void finish_outputs(const MatmulArgs& args, const TileSums& tile) {
  const float* sums = tile.sums;
  for (size_t row = tile.row; row < tile.row + tile.rows; ++row) {
    for (size_t panel = tile.panel; panel < tile.panel + tile.panels; ++panel, sums += kPanelRows) {
      const size_t first = row * args.out_stride + panel * outputs_of_panel(kEpilogue);
      float* out = args.out != nullptr ? args.out + first : nullptr;
      const V16 acc = load16(sums), value = apply_epilogue<kEpilogue>(acc, out);
      if constexpr (is_gated(kEpilogue)) {
        store_gated8(out, value, acc);
      } else {
        if (out != nullptr) store16(out, value);
        if (args.argmax != nullptr) keep_best(args, row, panel, value);
      }
    }
  }
}

// Stores a tile's outputs and keeps their arg-max. Stands once: inside of every tile it was most of a tier's text and
// half of the compiler's time.
__attribute__((noinline)) void finish_sums(const MatmulArgs& args, const TileSums& tile) {
  switch (args.epilogue) {
    case Epilogue::none: return finish_outputs<Epilogue::none>(args, tile);
    case Epilogue::gelu_tanh: return finish_outputs<Epilogue::gelu_tanh>(args, tile);
    case Epilogue::gelu_erf: return finish_outputs<Epilogue::gelu_erf>(args, tile);
    case Epilogue::relu: return finish_outputs<Epilogue::relu>(args, tile);
    case Epilogue::silu: return finish_outputs<Epilogue::silu>(args, tile);
    case Epilogue::residual: return finish_outputs<Epilogue::residual>(args, tile);
    case Epilogue::gated_gelu_tanh: return finish_outputs<Epilogue::gated_gelu_tanh>(args, tile);
    case Epilogue::gated_gelu_erf: return finish_outputs<Epilogue::gated_gelu_erf>(args, tile);
    case Epilogue::gated_relu: return finish_outputs<Epilogue::gated_relu>(args, tile);
    case Epilogue::gated_silu: return finish_outputs<Epilogue::gated_silu>(args, tile);
  }
}

template <class Product, int kRows, int kPanels>
void matmul_tile(const MatmulArgs& args, size_t row, size_t panel, const Ahead& ahead) {
  const size_t bytes = panel_bytes(args.w.dtype, args.w.n_cols);
  const unsigned char* first = args.w.data + panel * bytes;
  V16 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int p = 0; p < kPanels; ++p) {
    const V16 bias = load16(first + static_cast<size_t>(p) * bytes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r][p] = bias;
  }
  Product::template add<kRows, kPanels>(acc, args, first, bytes, args.x + row * args.x_stride, ahead);
  alignas(64) float sums[kRows * kPanels * kPanelRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) store16(sums + (r * kPanels + p) * static_cast<int>(kPanelRows), acc[r][p]);
  }
  finish_sums(args, {sums, row, kRows, panel, kPanels});
}

// The tile of kPanels for a row count that is known only at run time, kMin .. kRows.
template <class Product, int kPanels, int kMin, int kRows>
GPT2_INLINE void matmul_rows(const MatmulArgs& args, size_t rows, size_t row, size_t panel, const Ahead& ahead) {
  if constexpr (kRows > kMin) {
    if (rows < kRows) return matmul_rows<Product, kPanels, kMin, kRows - 1>(args, rows, row, panel, ahead);
  }
  matmul_tile<Product, kRows, kPanels>(args, row, panel, ahead);
}

// How many panels stay in L2 while all rows pass: many rows, so that a tile's rows are read from L1 for panel after
// panel. Of few rows it is the panel that stays in L1, and the next one comes from memory meanwhile.
GPT2_INLINE size_t panels_at_once(const MatmulArgs& args) {
  constexpr size_t kManyRows = 64, kBytes = size_t{128} << 10;
  if (args.n_rows <= kManyRows) return 1;
  const size_t n = kBytes / panel_bytes(args.w.dtype, args.w.n_cols);
  return n > 0 ? n : 1;
}

// Rows in equal tiles of kMin .. kRows by the panels [begin, end), which come from memory once and then from L2; `next`
// are the panels after them.
template <class Product, int kPanels, int kMin, int kRows>
void matmul_block(const MatmulArgs& args, size_t begin, size_t end) {
  const size_t n_tiles = (args.n_rows + kRows - 1) / kRows;
  const size_t size = args.n_rows / n_tiles, larger = args.n_rows % n_tiles,
               stride = panel_bytes(args.w.dtype, args.w.n_cols);
  for (size_t i = 0, row = 0; i < n_tiles; ++i) {
    const size_t rows = size + (i < larger ? 1 : 0);
    for (size_t panel = begin; panel < end; panel += kPanels) {
      const size_t next = panel + (end - begin);
      const bool more = next + kPanels <= args.panel_end;
      matmul_rows<Product, kPanels, kMin, kRows>(args, rows, row, panel,
                                                 {more ? args.w.data + next * stride : nullptr, i, n_tiles});
    }
    row += rows;
  }
}

// Panels from `begin` on in groups of kPanels; returns the first that is left.
template <class Product, int kPanels, int kMin, int kRows>
size_t matmul_panels(const MatmulArgs& args, size_t begin) {
  const size_t end = begin + (args.panel_end - begin) / kPanels * kPanels;
  const size_t at_once = panels_at_once(args), block = at_once > kPanels ? at_once / kPanels * kPanels : kPanels;
  for (; begin < end; begin += block) {
    matmul_block<Product, kPanels, kMin, kRows>(args, begin, begin + block < end ? begin + block : end);
  }
  return end;
}

// All panels with the first tile shape from kShape on that holds all rows, else the last.
template <class Product, size_t kShape = 0>
void matmul_tiles(const MatmulArgs& args) {
  constexpr size_t kShapes = sizeof Product::kTiles / sizeof(TileShape);
  constexpr TileShape kTile = Product::kTiles[kShape];
  constexpr bool kLast = kShape + 1 == kShapes;
  constexpr int kMin = kLast || kShape == 0 ? 1 : Product::kTiles[kShape - 1].rows + 1;
  if constexpr (!kLast) {
    if (args.n_rows > static_cast<size_t>(kTile.rows)) return matmul_tiles<Product, kShape + 1>(args);
  }
  const size_t left = matmul_panels<Product, kTile.panels, kMin, kTile.rows>(args, args.panel_begin);
  if constexpr (kTile.panels > 1) matmul_panels<Product, 1, kMin, kTile.rows>(args, left);
}

template <class Product>
void matmul_one_row(const MatmulArgs& args) {
  constexpr int kPanels = Product::kOneRowPanels;
  size_t panel = args.panel_begin;
  for (; panel + kPanels <= args.panel_end; panel += kPanels) {
    const bool more = panel + 2 * kPanels <= args.panel_end;
    const unsigned char* next = args.w.data + (panel + kPanels) * panel_bytes(args.w.dtype, args.w.n_cols);
    matmul_tile<Product, 1, kPanels>(args, 0, panel, {more ? next : nullptr, 0, 1});
  }
  for (; panel < args.panel_end; ++panel) matmul_tile<Product, 1, 1>(args, 0, panel, {});
}

template <class Product>
void matmul_with(const MatmulArgs& args) {
  args.n_rows == 1 ? matmul_one_row<Product>(args) : matmul_tiles<Product>(args);
}

void matmul(const MatmulArgs& args) noexcept {
  switch (args.w.dtype) {
    case DType::f32: return matmul_with<F32Product>(args);
    case DType::bf16: return matmul_with<Bf16Product>(args);
    case DType::int8: return matmul_with<GroupProduct<DType::int8, Int8Dot>>(args);
    case DType::int8g32: return matmul_with<GroupProduct<DType::int8g32, Int8Dot>>(args);
    case DType::int4: return matmul_with<GroupProduct<DType::int4, Int4Dot>>(args);
  }
}

}  // namespace
}  // namespace gpt2
