// Packing and unpacking of panels, and the small parts of the kernel contract that have no vector form.
#include "kernels/float_types.h"
#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/panel_row.h"

namespace gpt2 {

namespace {

constexpr int kInt4Candidates = 20;
constexpr uint16_t kNanF16 = 0x7E00;

// Nearest even for |x| < 2^22, by the adder.
float round_even(float x) { return (x + kRoundMagic) - kRoundMagic; }

float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// Element k of a panel's row: its line and its place in the line (layout.h).
struct Place {
  size_t line, byte;
  int shift;  // int4: which nibble
};
Place place_of(DType dtype, size_t k, size_t lane) {
  switch (dtype) {
    case DType::f32: return {k, lane * 4, 0};
    case DType::bf16: return {k / 2, lane * 4 + k % 2 * 2, 0};
    case DType::int8:
    case DType::int8g32: return {k / 4, lane * 4 + k % 4, 0};
    case DType::int4: return {k / 8, lane * 4 + k % 4, k % 8 < 4 ? 0 : 4};
  }
  return {};
}

// Of all values; infinite or NaN if one is.
float largest_magnitude(const float* w, size_t n) {
  uint32_t largest = 0;
  for (size_t i = 0; i < n; ++i) {
    uint32_t bits;
    memcpy(&bits, &w[i], sizeof bits);
    bits &= 0x7FFFFFFFu;
    largest = bits > largest ? bits : largest;
  }
  float magnitude;
  memcpy(&magnitude, &largest, sizeof magnitude);
  return magnitude;
}

// The next f16 up where the nearest one would push the largest code past 127.5.
uint16_t int8_scale(float largest) {
  uint16_t scale = float_to_f16(largest / 127.0f);
  while (scale < 0x7BFF && largest > 127.49f * f16_to_float(scale)) ++scale;
  return scale;
}

int code_of(float w, float scale, float low, float high) {
  return scale == 0.0f ? 0 : static_cast<int>(clamp(round_even(clamp(w / scale, -1e6f, 1e6f)), low, high));
}

// Squared error of a group of 32 at this scale, and the sums for the least-squares refit of the scale: in 4 lanes each,
// added in order. Codes by the reciprocal differ from code_of in ties only, which cost the same.
struct Fit {
  float error, wq, qq;
};
constexpr size_t kInt4Group = 32;
typedef float Lanes __attribute__((vector_size(16)));  // the compiler's own vectors: any CPU

float sum_lanes(Lanes v) { return ((v[0] + v[1]) + v[2]) + v[3]; }

Fit fit_int4(const Lanes (&w)[kInt4Group / 4], float scale) {
  const float inverse = 1.0f / scale;
  const Lanes low = {-8.0f, -8.0f, -8.0f, -8.0f}, high = {7.0f, 7.0f, 7.0f, 7.0f};
  Lanes error = {}, wq = {}, qq = {};
  for (const Lanes value : w) {
    Lanes q = (value * inverse + kRoundMagic) - kRoundMagic;
    q = q < low ? low : q;
    q = q > high ? high : q;
    const Lanes difference = value - q * scale;
    error += difference * difference;
    wq += value * q;
    qq += q * q;
  }
  return {sum_lanes(error), sum_lanes(wq), sum_lanes(qq)};
}

uint16_t int4_scale(const float* values, size_t n) {
  Lanes w[kInt4Group / 4] = {};
  memcpy(w, values, n * sizeof(float));
  float extreme = 0;  // the value of largest magnitude, with its sign
  for (size_t i = 0; i < n; ++i) {
    if ((values[i] < 0 ? -values[i] : values[i]) > (extreme < 0 ? -extreme : extreme)) extreme = values[i];
  }
  if (!(extreme != 0.0f)) return 0;
  uint16_t best = 0;
  float best_error = 0;
  bool found = false;
  const auto consider = [&](float wanted) {
    const uint16_t scale = float_to_f16(wanted);
    if ((scale & 0x7FFFu) == 0 || (scale & 0x7FFFu) >= 0x7C00u) return Fit{};
    const Fit fit = fit_int4(w, f16_to_float(scale));
    if (!found || fit.error < best_error) {
      best = scale;
      best_error = fit.error;
      found = true;
    }
    return fit;
  };
  // The extreme value lands on code -8 (divisor -8), is clamped a little (-7.x to -5) or not at all (7).
  for (int i = 0; i < kInt4Candidates; ++i) {
    const float divisor = i == 0 ? 7.0f : -8.6f + 0.2f * static_cast<float>(i);
    const Fit fit = consider(extreme / divisor);
    if (fit.qq > 0) consider(fit.wq / fit.qq);
  }
  return best;
}

void pack_group(DType dtype, const float* w, size_t n, size_t first_k, size_t lane, unsigned char* scales,
                unsigned char* lines) {
  const DTypeLayout layout = layout_of(dtype);
  const float largest = largest_magnitude(w, n);
  const bool finite = largest - largest == 0.0f;  // else the scale says so, and every output does
  const uint16_t scale = !finite ? kNanF16 : is_int8(dtype) ? int8_scale(largest) : int4_scale(w, n);
  memcpy(scales + (first_k / layout.k_per_group * kPanelRows + lane) * sizeof scale, &scale, sizeof scale);
  const float low = is_int8(dtype) ? -127.0f : -8.0f, high = is_int8(dtype) ? 127.0f : 7.0f;
  const float step = f16_to_float(scale);
  for (size_t i = 0; i < layout.k_per_group; ++i) {
    const int code = (i < n && finite ? code_of(w[i], step, low, high) : 0) + code_offset(dtype);
    const Place place = place_of(dtype, first_k + i, lane);
    unsigned char& byte = lines[place.line * kLineBytes + place.byte];
    byte = static_cast<unsigned char>(byte | code << place.shift);
  }
}

// The code of element k of a panel's row; the scale of its group.
int panel_code(DType dtype, const unsigned char* panel, size_t n_cols, size_t k, size_t lane) {
  const Place place = place_of(dtype, k, lane);
  const unsigned char byte = panel[panel_lines_offset(dtype, n_cols) + place.line * kLineBytes + place.byte];
  const int mask = is_int8(dtype) ? 255 : 15;
  return (byte >> place.shift & mask) - code_offset(dtype);
}
uint16_t panel_scale(DType dtype, const unsigned char* panel, size_t k, size_t lane) {
  uint16_t half;
  memcpy(&half, panel + panel_scales_offset() + (k / layout_of(dtype).k_per_group * kPanelRows + lane) * sizeof half,
         sizeof half);
  return half;
}

// The value of element k of a panel's row, as the kernels use it.
float panel_value(DType dtype, const unsigned char* panel, size_t n_cols, size_t k, size_t lane) {
  if (layout_of(dtype).k_per_group > 0) {
    const auto code = static_cast<float>(panel_code(dtype, panel, n_cols, k, lane));
    return code * f16_to_float(panel_scale(dtype, panel, k, lane));
  }
  const Place place = place_of(dtype, k, lane);
  const unsigned char* at = panel + panel_lines_offset(dtype, n_cols) + place.line * kLineBytes + place.byte;
  if (dtype == DType::f32) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t half;
  memcpy(&half, at, sizeof half);
  return bf16_to_float(half);
}

}  // namespace

void pack_panel(DType dtype, const float* rows, const float* bias, size_t n_cols, unsigned char* panel) noexcept {
  memset(panel, 0, panel_bytes(dtype, n_cols));
  memcpy(panel, bias, kPanelRows * sizeof(float));
  unsigned char* lines = panel + panel_lines_offset(dtype, n_cols);
  const size_t group = layout_of(dtype).k_per_group;
  for (size_t lane = 0; lane < kPanelRows; ++lane) {
    const float* row = rows + lane * n_cols;
    for (size_t k = 0; group > 0 && k < n_cols; k += group) {
      pack_group(dtype, row + k, n_cols - k < group ? n_cols - k : group, k, lane, panel + panel_scales_offset(),
                 lines);
    }
    for (size_t k = 0; group == 0 && k < n_cols; ++k) {
      const Place place = place_of(dtype, k, lane);
      unsigned char* at = lines + place.line * kLineBytes + place.byte;
      const uint16_t half = float_to_bf16(row[k]);
      if (dtype == DType::f32) {
        memcpy(at, &row[k], sizeof row[k]);
      } else {
        memcpy(at, &half, sizeof half);
      }
    }
  }
}

void unpack_panel(DType dtype, const unsigned char* panel, size_t n_cols, float* rows, float* bias) noexcept {
  memcpy(bias, panel, kPanelRows * sizeof(float));
  for (size_t lane = 0; lane < kPanelRows; ++lane) unpack_row(dtype, panel, n_cols, lane, rows + lane * n_cols);
}

void unpack_row(DType dtype, const unsigned char* panel, size_t n_cols, size_t lane, float* values) noexcept {
  for (size_t k = 0; k < n_cols; ++k) values[k] = panel_value(dtype, panel, n_cols, k, lane);
}

float panel_bias(const unsigned char* panel, size_t lane) noexcept {
  float bias;
  memcpy(&bias, panel + lane * sizeof bias, sizeof bias);
  return bias;
}

void unpack_codes(DType dtype, const unsigned char* panel, size_t n_cols, size_t lane, int8_t* codes,
                  uint16_t* scales) noexcept {
  const size_t group = layout_of(dtype).k_per_group;
  for (size_t k = 0; k < padded_k(dtype, n_cols); ++k) {
    codes[k] = static_cast<int8_t>(panel_code(dtype, panel, n_cols, k, lane));
    if (k % group == 0) scales[k / group] = panel_scale(dtype, panel, k, lane);
  }
}

void pack_codes(DType dtype, const int8_t* codes, const uint16_t* scales, size_t n_cols, size_t lane,
                unsigned char* panel) noexcept {
  const size_t group = layout_of(dtype).k_per_group;
  unsigned char* lines = panel + panel_lines_offset(dtype, n_cols);
  for (size_t k = 0; k < padded_k(dtype, n_cols); ++k) {
    const Place place = place_of(dtype, k, lane);
    unsigned char& byte = lines[place.line * kLineBytes + place.byte];
    byte = static_cast<unsigned char>(byte | (codes[k] + code_offset(dtype)) << place.shift);
    if (k % group != 0) continue;
    memcpy(panel + panel_scales_offset() + (k / group * kPanelRows + lane) * sizeof(uint16_t), &scales[k / group],
           sizeof(uint16_t));
  }
}

void embed_row(const Panels& w, size_t row, float scale, const float* add, float* out) noexcept {
  const unsigned char* panel = w.data + row / kPanelRows * panel_bytes(w.dtype, w.n_cols);
  for (size_t k = 0; k < w.n_cols; ++k) {
    out[k] = scale * panel_value(w.dtype, panel, w.n_cols, k, row % kPanelRows) + (add != nullptr ? add[k] : 0.0f);
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
