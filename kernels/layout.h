// The packed layouts, as geometry only: panels of 16 output rows (weights) and blocks of 64 positions (KV cache). Every
// line of 64 bytes serves one zmm, two ymm or four q registers, and one stream of addresses serves one row or
// many. Everything is static: a weak symbol compiled for AVX-512 could become the copy that an older CPU runs.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace gpt2 {

enum class DType : uint8_t { f32, bf16, int8, int4, int8g32 };
// In the order in which people read them: the less bits a weight takes, the later.
static constexpr DType kAllDTypes[] = {DType::f32, DType::bf16, DType::int8g32, DType::int8, DType::int4};
enum class KvType : uint8_t { f32, f16 };

static constexpr size_t kPanelRows = 16;   // output rows of a panel
static constexpr size_t kLineBytes = 64;   // one load
static constexpr size_t kBlockPositions = 64;  // positions of a KV block
static constexpr size_t kMaxDHead = 1024;      // bounds the kernels' stack buffers

// What one dtype's line and group hold along k.
struct DTypeLayout {
  size_t k_per_line;   // inputs in one 64-byte line
  size_t k_per_group;  // inputs that share a scale; 0 without scales
};
static constexpr DTypeLayout layout_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return {1, 0};
    case DType::bf16: return {2, 0};
    case DType::int8: return {4, 64};
    case DType::int4: return {8, 32};
    case DType::int8g32: return {4, 32};
  }
  return {1, 0};
}

// Whether its codes have 8 bits: int8 -127..127; int8g32 -128..127, as other programs' files have them.
static constexpr bool is_int8(DType dtype) { return dtype == DType::int8 || dtype == DType::int8g32; }

static constexpr size_t round_up_size(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Returns the inputs after padding with zero codes: whole lines, and whole groups where there are groups.
static constexpr size_t padded_k(DType dtype, size_t n_cols) {
  const DTypeLayout layout = layout_of(dtype);
  return round_up_size(n_cols, layout.k_per_group > 0 ? layout.k_per_group : layout.k_per_line);
}

// Byte offsets inside a panel: bias f32[16], scales f16 [group][16] padded to 64 bytes, then the lines.
static constexpr size_t panel_scales_offset() { return kPanelRows * sizeof(float); }
static constexpr size_t panel_lines_offset(DType dtype, size_t n_cols) {
  const size_t group = layout_of(dtype).k_per_group;
  const size_t scales = group > 0 ? padded_k(dtype, n_cols) / group * kPanelRows * 2 : 0;
  return panel_scales_offset() + round_up_size(scales, kLineBytes);
}
static constexpr size_t panel_bytes(DType dtype, size_t n_cols) {
  return panel_lines_offset(dtype, n_cols) + padded_k(dtype, n_cols) / layout_of(dtype).k_per_line * kLineBytes;
}
static constexpr size_t panel_count(size_t n_rows) { return (n_rows + kPanelRows - 1) / kPanelRows; }

// A packed matrix: n_rows outputs (whole panels; rows past the logical ones are zero) by n_cols inputs.
struct Panels {
  const unsigned char* data = nullptr;  // 64-byte aligned, panels_bytes()
  DType dtype = DType::f32;
  uint32_t n_rows = 0;  // outputs including padding, a multiple of 16
  uint32_t n_cols = 0;  // inputs without padding
};

static constexpr size_t n_panels(const Panels& w) { return w.n_rows / kPanelRows; }
static constexpr size_t panels_bytes(const Panels& w) { return n_panels(w) * panel_bytes(w.dtype, w.n_cols); }

// A row of activations as a matrix of this type wants it, one blob on a 64-byte boundary:
//   f32: n_cols floats. bf16: n_cols floats, or n_cols bf16 where the tier's dot instruction takes those.
//   int8, int8g32, int4: codes [padded_k] (x / scale, nearest even, -127..127; zero past n_cols), scales f32 [groups],
//   offsets i32 [groups]: what undoes the weights' offset, -128 or -8 times the group's sum of codes. Each part starts
//   on a line. Codes are bytes; for int8 and int8g32 they have room to be words, in the order of the tier's choice.
static constexpr size_t groups_of(DType dtype, size_t n_cols) {
  return padded_k(dtype, n_cols) / layout_of(dtype).k_per_group;
}
static constexpr size_t row_scales_offset(DType dtype, size_t n_cols) {
  return round_up_size(padded_k(dtype, n_cols) * (is_int8(dtype) ? 2 : 1), kLineBytes);
}
static constexpr size_t row_offsets_offset(DType dtype, size_t n_cols) {
  return row_scales_offset(dtype, n_cols) + round_up_size(groups_of(dtype, n_cols) * sizeof(float), kLineBytes);
}
static constexpr size_t prepared_row_bytes(DType dtype, size_t n_cols) {
  if (layout_of(dtype).k_per_group == 0) return round_up_size(n_cols * sizeof(float), kLineBytes);
  return row_offsets_offset(dtype, n_cols) + round_up_size(groups_of(dtype, n_cols) * sizeof(int32_t), kLineBytes);
}
static constexpr bool is_prepared(DType dtype) { return dtype != DType::f32; }
// Returns by how much a weight's stored unsigned code is larger than its signed code.
static constexpr int32_t code_offset(DType dtype) { return is_int8(dtype) ? 128 : 8; }

static constexpr size_t item_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

// One head's part of a KV block: K as 4 panels of 16 positions ([panel][d][16 positions]), V as rows ([position][d]);
// d runs over d_head padded to 16.
static constexpr size_t kv_plane_bytes(KvType type, size_t d_pad) { return kBlockPositions * d_pad * item_bytes(type); }

}  // namespace gpt2
