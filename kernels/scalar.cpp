// The definition of every operation, in plain loops: the fallback for any CPU, and what every other tier is compared
// with. One chain of fused multiply-adds per output; sums of rows in 16 lanes and one tree.
#include "kernels/float_types.h"
#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/tables.h"

namespace gpt2 {
namespace {

float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// NaN passes through both.
float at_least(float low, float x) { return !(x <= low) ? x : low; }
float at_most(float high, float x) { return !(x >= high) ? x : high; }

float exp_f32(float x) {
  x = at_most(kExpHigh, at_least(kExpLow, x));
  const float t = fma(x, kLog2E, kRoundMagic);
  const float n = t - kRoundMagic;
  const float r = fma(n, -kLn2Low, fma(n, -kLn2High, x));
  float q = kExpQ[4];
  for (int i = 3; i >= 0; --i) q = fma(q, r, kExpQ[i]);
  const float p = fma(fma(q, r, 1.0f), r, 1.0f);
  return bits_float(float_bits(p) + (float_bits(t) << 23));
}

float erf_f32(float x) {
  const float a = bits_float(float_bits(x) & 0x7FFFFFFFu);
  const float a2 = a * a;
  float small = kErfSmall[6];
  for (int i = 5; i >= 0; --i) small = fma(small, a2, kErfSmall[i]);
  small = fma(small, a, a);
  const float b = at_most(kErfLimit, a);
  float large = kErfLarge[6];
  for (int i = 5; i >= 0; --i) large = fma(large, b, kErfLarge[i]);
  const float magnitude = a < 1.0f ? small : 1.0f - exp_f32(0.0f - large);
  return bits_float(float_bits(magnitude) | (float_bits(x) & 0x80000000u));
}

float gelu_tanh(float x) {
  const float u2 = x * fma(x * x, kGelu1, kGelu0);
  return x / (1.0f + exp_f32(0.0f - u2));
}

float gelu_erf(float x) { return (0.5f * x) * (1.0f + erf_f32(x * kSqrtHalf)); }

float silu(float x) { return x / (1.0f + exp_f32(0.0f - x)); }

float apply(Epilogue epilogue, float accumulator, float old) {
  switch (epilogue) {
    case Epilogue::none: return accumulator;
    case Epilogue::gelu_tanh:
    case Epilogue::gated_gelu_tanh: return gelu_tanh(accumulator);
    case Epilogue::gelu_erf:
    case Epilogue::gated_gelu_erf: return gelu_erf(accumulator);
    case Epilogue::relu:
    case Epilogue::gated_relu: return at_least(0.0f, accumulator);
    case Epilogue::silu:
    case Epilogue::gated_silu: return silu(accumulator);
    case Epilogue::residual: return old + accumulator;
  }
  return accumulator;
}

void track_argmax(ArgmaxLanes& best, const float* values, size_t panel, size_t n_valid) {
  for (size_t lane = 0; lane < kPanelRows; ++lane) {
    if (!(values[lane] - values[lane] == 0.0f)) best.nonfinite = 1;
    if (panel * kPanelRows + lane >= n_valid) continue;
    const bool ties = values[lane] == best.value[lane] && static_cast<int32_t>(panel) < best.panel[lane];
    if (values[lane] > best.value[lane] || ties) {
      best.value[lane] = values[lane];
      best.panel[lane] = static_cast<int32_t>(panel);
    }
  }
}

float load_float(const unsigned char* p) {
  float value;
  memcpy(&value, p, sizeof value);
  return value;
}

int32_t load_int(const unsigned char* p) {
  int32_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

// acc[lane] += sum over k of w[lane][k] x[k], one chain per lane.
void dot_floats(DType dtype, const unsigned char* lines, const unsigned char* x, size_t n_cols, float* acc) {
  const size_t width = layout_of(dtype).k_per_line;
  for (size_t k = 0; k < n_cols; ++k) {
    const unsigned char* line = lines + k / width * kLineBytes;
    for (size_t lane = 0; lane < kPanelRows; ++lane) {
      uint16_t half;
      memcpy(&half, line + lane * 4 + k % width * 2, sizeof half);
      const float w = dtype == DType::f32 ? load_float(line + lane * 4) : bf16_to_float(half);
      acc[lane] = fma(w, load_float(x + k * sizeof(float)), acc[lane]);
    }
  }
}

// The stored code of weight k of a group, without its offset.
int32_t weight_code(DType dtype, const unsigned char* lines, size_t k, size_t lane) {
  if (is_int8(dtype)) return lines[k / 4 * kLineBytes + lane * 4 + k % 4];
  const unsigned char byte = lines[k / 8 * kLineBytes + lane * 4 + k % 4];
  return k % 8 < 4 ? byte & 15 : byte >> 4;
}

// acc[lane] = fma(float(sum of w x), weight scale * row scale, acc[lane]) for each group.
void dot_groups(DType dtype, const unsigned char* panel, const unsigned char* x, size_t n_cols, float* acc) {
  const size_t group = layout_of(dtype).k_per_group;
  const unsigned char* lines = panel + panel_lines_offset(dtype, n_cols);
  for (size_t g = 0; g < groups_of(dtype, n_cols); ++g) {
    const float row_scale = load_float(x + row_scales_offset(dtype, n_cols) + g * sizeof(float));
    for (size_t lane = 0; lane < kPanelRows; ++lane) {
      int32_t sum = load_int(x + row_offsets_offset(dtype, n_cols) + g * sizeof(int32_t));
      for (size_t k = g * group; k < (g + 1) * group; ++k) {
        sum += weight_code(dtype, lines, k, lane) * static_cast<signed char>(x[k]);
      }
      uint16_t scale;
      memcpy(&scale, panel + panel_scales_offset() + (g * kPanelRows + lane) * sizeof scale, sizeof scale);
      acc[lane] = fma(static_cast<float>(sum), f16_to_float(scale) * row_scale, acc[lane]);
    }
  }
}

void prepare_row(DType dtype, const float* x, size_t n_cols, unsigned char* row) noexcept {
  const size_t group = layout_of(dtype).k_per_group;
  if (group == 0) {
    memcpy(row, x, n_cols * sizeof(float));
    return;
  }
  for (size_t g = 0; g < groups_of(dtype, n_cols); ++g) {
    const size_t first = g * group, n = n_cols - first < group ? n_cols - first : group;
    float largest = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < n; ++i) {
      const float magnitude = bits_float(float_bits(x[first + i]) & 0x7FFFFFFFu);
      finite = finite && magnitude - magnitude == 0.0f;
      largest = magnitude > largest ? magnitude : largest;
    }
    const float wanted = largest / 127.0f;
    const float scale = !finite ? __builtin_nanf("") : wanted >= kSmallestRowScale ? wanted : 0.0f;
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    int32_t sum = 0;
    for (size_t i = 0; i < group; ++i) {
      const float code = finite && i < n ? (x[first + i] * inverse + kRoundMagic) - kRoundMagic : 0.0f;
      const int32_t q = static_cast<int32_t>(at_most(127.0f, at_least(-127.0f, code)));
      row[first + i] = static_cast<unsigned char>(q);
      sum += q;
    }
    const int32_t offset = -code_offset(dtype) * sum;
    memcpy(row + row_scales_offset(dtype, n_cols) + g * sizeof scale, &scale, sizeof scale);
    memcpy(row + row_offsets_offset(dtype, n_cols) + g * sizeof offset, &offset, sizeof offset);
  }
}

void matmul(const MatmulArgs& args) noexcept {
  const DType dtype = args.w.dtype;
  const size_t bytes = panel_bytes(dtype, args.w.n_cols);
  for (size_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    const unsigned char* data = args.w.data + panel * bytes;
    for (size_t row = 0; row < args.n_rows; ++row) {
      const unsigned char* x = args.x + row * args.x_stride;
      float acc[kPanelRows];
      memcpy(acc, data, sizeof acc);
      if (layout_of(dtype).k_per_group == 0) {
        dot_floats(dtype, data + panel_lines_offset(dtype, args.w.n_cols), x, args.w.n_cols, acc);
      } else {
        dot_groups(dtype, data, x, args.w.n_cols, acc);
      }
      const size_t n_outputs = outputs_of_panel(args.epilogue);
      float* out = args.out != nullptr ? args.out + row * args.out_stride + panel * n_outputs : nullptr;
      for (size_t lane = 0; lane < n_outputs; ++lane) {
        acc[lane] = apply(args.epilogue, acc[lane], args.epilogue == Epilogue::residual ? out[lane] : 0.0f);
        if (is_gated(args.epilogue)) acc[lane] *= acc[lane + n_outputs];
      }
      if (out != nullptr) memcpy(out, acc, n_outputs * sizeof(float));
      if (args.argmax != nullptr) track_argmax(args.argmax[row], acc, panel, args.n_valid);
    }
  }
}

// lanes[j] + lanes[j + 8], then + 4, + 2, + 1: the one tree of every row sum.
float sum_tree(float* lanes) {
  for (size_t width = kPanelRows / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

void layer_norm(const float* x, const float* weight, const float* bias, size_t n, float epsilon, float* y) noexcept {
  float lanes[kPanelRows] = {};
  for (size_t i = 0; i < n; ++i) lanes[i % kPanelRows] += x[i];
  const float mean = sum_tree(lanes) / static_cast<float>(n);
  memset(lanes, 0, sizeof lanes);
  for (size_t i = 0; i < n; ++i) {
    const float d = x[i] - mean;
    lanes[i % kPanelRows] = fma(d, d, lanes[i % kPanelRows]);
  }
  const float variance = sum_tree(lanes) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(variance + epsilon);
  for (size_t i = 0; i < n; ++i) y[i] = fma((x[i] - mean) * scale, weight[i], bias[i]);
}

void rms_norm(const float* x, const float* weight, size_t n, float epsilon, float* y) noexcept {
  float lanes[kPanelRows] = {};
  for (size_t i = 0; i < n; ++i) lanes[i % kPanelRows] = fma(x[i], x[i], lanes[i % kPanelRows]);
  const float scale = 1.0f / __builtin_sqrtf(sum_tree(lanes) / static_cast<float>(n) + epsilon);
  for (size_t i = 0; i < n; ++i) y[i] = (x[i] * scale) * weight[i];
}

void rotate(float* x, const float* cosines, const float* sines, size_t half) noexcept {
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = fma(a, cosines[i], 0.0f - b * sines[i]);
    x[i + half] = fma(b, cosines[i], a * sines[i]);
  }
}

float load_kv(const unsigned char* plane, size_t index, KvType type) {
  if (type == KvType::f32) {
    float value;
    memcpy(&value, plane + index * sizeof value, sizeof value);
    return value;
  }
  uint16_t half;
  memcpy(&half, plane + index * sizeof half, sizeof half);
  return f16_to_float(half);
}

void store_value(float value, KvType type, unsigned char* plane, size_t index) {
  if (type == KvType::f32) {
    memcpy(plane + index * sizeof value, &value, sizeof value);
  } else {
    const uint16_t half = float_to_f16(value);
    memcpy(plane + index * sizeof half, &half, sizeof half);
  }
}

// Element d of the key at `position`: panels of 16 positions, d-major.
size_t k_index(size_t position, size_t d, size_t d_pad) {
  return (position / kPanelRows * d_pad + d) * kPanelRows + position % kPanelRows;
}

void store_kv(const float* k, const float* v, size_t d_pad, KvType type, size_t position, unsigned char* k_plane,
              unsigned char* v_plane) noexcept {
  for (size_t d = 0; d < d_pad; ++d) {
    store_value(k[d], type, k_plane, k_index(position, d, d_pad));
    store_value(v[d], type, v_plane, position * d_pad + d);
  }
}

// What the online softmax carries from block to block: Milakov & Gimelshein 2018, https://arxiv.org/abs/1805.02867.
struct SoftmaxState {
  float max, sum;
  float out[kMaxDHead];
};

// Adds positions [begin, end) of one block.
void attend_block(const AttentionArgs& args, const float* q, const unsigned char* block, size_t begin, size_t end,
                  SoftmaxState& state) {
  const unsigned char* k_plane = block + args.k_offset;
  const unsigned char* v_plane = block + args.v_offset;
  float p[kBlockPositions];
  float max = state.max;
  for (size_t j = begin; j < end; ++j) {
    float score = 0.0f;
    for (size_t d = 0; d < args.d_key; ++d) {
      score = fma(q[d], load_kv(k_plane, k_index(j, d, args.d_pad), args.kv_type), score);
    }
    p[j] = score * args.scale;
    max = p[j] > max ? p[j] : max;
  }
  const float rescale = exp_f32(state.max - max);
  float lanes[kPanelRows] = {};
  for (size_t j = begin; j < end; ++j) {
    p[j] = exp_f32(p[j] - max);
    lanes[j % kPanelRows] += p[j];
  }
  state.sum = fma(state.sum, rescale, sum_tree(lanes));
  state.max = max;
  for (size_t d = 0; d < args.d_head; ++d) {
    float out = state.out[d] * rescale;
    for (size_t j = begin; j < end; ++j) out = fma(p[j], load_kv(v_plane, j * args.d_pad + d, args.kv_type), out);
    state.out[d] = out;
  }
}

void attend_row(const AttentionArgs& args, size_t position, const float* q, float* out) {
  SoftmaxState state;
  state.max = -__builtin_inff();
  state.sum = 0.0f;
  memset(state.out, 0, args.d_head * sizeof(float));
  const size_t first = args.window > 0 && position + 1 > args.window ? position + 1 - args.window : 0;
  for (size_t b = first / kBlockPositions; b <= position / kBlockPositions; ++b) {
    const size_t start = b * kBlockPositions, n_seen = position + 1 - start;
    const size_t end = n_seen < kBlockPositions ? n_seen : kBlockPositions;
    attend_block(args, q, args.blocks[b], first > start ? first - start : 0, end, state);
  }
  for (size_t d = 0; d < args.d_head; ++d) out[d] = state.out[d] / state.sum;
}

void attention(const AttentionArgs& args) noexcept {
  for (size_t row = 0; row < args.n_rows; ++row) {
    for (size_t head = 0; head < args.n_heads; ++head) {
      const float* q = args.q + row * args.q_stride + head * args.d_pad;
      attend_row(args, args.first_position + row, q, args.out + row * args.out_stride + head * args.d_head);
    }
  }
}

uint64_t probe_read(const unsigned char* data, size_t bytes) noexcept {
  uint64_t sum = 0;
  for (size_t i = 0; i + kLineBytes <= bytes; i += kLineBytes) {
    uint64_t words[8];
    memcpy(words, data + i, sizeof words);
    for (const uint64_t word : words) sum ^= word;
  }
  return sum;
}

// All types: one multiplication and one addition at a time.
double probe_peak(DType /*dtype*/, size_t n) noexcept {
  float acc[12] = {};
  for (size_t i = 0; i < n; ++i) {
    for (float& a : acc) a = fma(a, 0.999f, 0.5f);
  }
  for (const float& a : acc) __asm__ volatile("" : : "m"(a));
  return static_cast<double>(n) * 24;
}

const char* probe_text(DType /*dtype*/) noexcept { return "fmaf"; }

}  // namespace

const KernelTable kScalarTable = {"scalar", prepare_row, matmul,   layer_norm, rms_norm,  rotate,
                                  attention, store_kv,   probe_read, probe_peak, probe_text};

}  // namespace gpt2
