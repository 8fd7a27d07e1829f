// Packing and unpacking of panels, and the small parts of the kernel contract that have no vector form.
#include "kernels/float_types.h"
#include "kernels/kernels.h"

namespace gpt2 {

void pack_panel(DType dtype, const float* rows, const float* bias, size_t n_cols, unsigned char* panel) noexcept {
  memcpy(panel, bias, kPanelRows * sizeof(float));
  unsigned char* lines = panel + panel_lines_offset(dtype, n_cols);
  for (size_t k = 0; k < n_cols; ++k) {
    float line[kPanelRows];
    for (size_t lane = 0; lane < kPanelRows; ++lane) line[lane] = rows[lane * n_cols + k];
    memcpy(lines + k * kLineBytes, line, sizeof line);
  }
}

void unpack_panel(DType dtype, const unsigned char* panel, size_t n_cols, float* rows, float* bias) noexcept {
  memcpy(bias, panel, kPanelRows * sizeof(float));
  const unsigned char* lines = panel + panel_lines_offset(dtype, n_cols);
  for (size_t k = 0; k < n_cols; ++k) {
    float line[kPanelRows];
    memcpy(line, lines + k * kLineBytes, sizeof line);
    for (size_t lane = 0; lane < kPanelRows; ++lane) rows[lane * n_cols + k] = line[lane];
  }
}

void embed_row(const Panels& w, size_t row, const float* add, float* out) noexcept {
  const unsigned char* panel = w.data + row / kPanelRows * panel_bytes(w.dtype, w.n_cols);
  const unsigned char* lines = panel + panel_lines_offset(w.dtype, w.n_cols) + row % kPanelRows * sizeof(float);
  for (size_t i = 0; i < w.n_cols; ++i) {
    float value;
    memcpy(&value, lines + i * kLineBytes, sizeof value);
    out[i] = value + add[i];
  }
}

void clear_argmax(ArgmaxLanes& lanes) noexcept {
  for (size_t lane = 0; lane < kPanelRows; ++lane) {
    lanes.value[lane] = -__builtin_inff();
    lanes.panel[lane] = -1;
  }
  lanes.nonfinite = 0;
}

int32_t finish_argmax(const ArgmaxLanes& lanes, float* value) noexcept {
  int32_t best = -1;
  for (size_t lane = 0; lane < kPanelRows; ++lane) {
    if (lanes.panel[lane] < 0) continue;
    const int32_t index = lanes.panel[lane] * static_cast<int32_t>(kPanelRows) + static_cast<int32_t>(lane);
    if (best < 0 || lanes.value[lane] > *value || (lanes.value[lane] == *value && index < best)) {
      best = index;
      *value = lanes.value[lane];
    }
  }
  return best;
}

}  // namespace gpt2
