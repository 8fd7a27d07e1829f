#include "src/model/ops.h"

#include <algorithm>

namespace gpt2 {
namespace {

const unsigned char* as_bytes(const float* x) {
  const void* bytes = x;
  return static_cast<const unsigned char*>(bytes);
}

Ops::Input plain(MatrixView<const float> x) { return {as_bytes(x.data()), x.stride() * sizeof(float), x.rows()}; }

}  // namespace

Epilogue activation_of(const Config& config) noexcept {
  const bool gated = config.mlp == Mlp::gated;
  switch (config.activation) {
    case Activation::gelu_tanh: return gated ? Epilogue::gated_gelu_tanh : Epilogue::gelu_tanh;
    case Activation::gelu_erf: return gated ? Epilogue::gated_gelu_erf : Epilogue::gelu_erf;
    case Activation::relu: return gated ? Epilogue::gated_relu : Epilogue::relu;
    case Activation::silu: return gated ? Epilogue::gated_silu : Epilogue::silu;
  }
  return Epilogue::none;
}

template <class MakeRow>
void Ops::make_rows(size_t n_rows, MakeRow&& make_row) const noexcept {
  if (n_rows > kFewRows) {
    each(n_rows, [&](size_t i) { make_row(i, i); });
    return worker_.barrier();
  }
  for (size_t i = 0; i < n_rows; ++i) make_row(i, first_row(n_rows) + i);
}

Ops::Input Ops::input(MatrixView<const float> x, const Panels& next) const noexcept {
  worker_.barrier(upcoming(next, x.rows()));
  if (!is_prepared(next.dtype)) return plain(x);
  make_rows(x.rows(), [&](size_t i, size_t row) {
    kernels_.prepare_row(next.dtype, x.row(i).data(), next.n_cols, prepared_row(row));
  });
  return {prepared_row(first_row(x.rows())), workspace_.prepared_stride_, x.rows()};
}

Ops::Input Ops::norm(const NormWeights& weights, MatrixView<const float> x, const Panels& next,
                     std::span<const uint32_t> rows) const noexcept {
  const size_t n_rows = rows.empty() ? x.rows() : rows.size();
  const MatrixView<float> normed = workspace_.normed_.rows(first_row(n_rows) + n_rows);
  worker_.barrier(upcoming(next, n_rows));
  make_rows(n_rows, [&](size_t i, size_t row) {
    const float* in = x.row(rows.empty() ? i : rows[i]).data();
    float* out = normed.row(row).data();
    norm_row(weights, in, x.cols(), out);
    if (is_prepared(next.dtype)) kernels_.prepare_row(next.dtype, out, next.n_cols, prepared_row(row));
  });
  if (is_prepared(next.dtype)) return {prepared_row(first_row(n_rows)), workspace_.prepared_stride_, n_rows};
  return {as_bytes(normed.row(first_row(n_rows)).data()), normed.stride() * sizeof(float), n_rows};
}

void Ops::norm_row(const NormWeights& weights, const float* x, size_t n, float* y) const noexcept {
  if (weights.bias.empty()) return kernels_.rms_norm(x, weights.weight.data(), n, weights.epsilon, y);
  kernels_.layer_norm(x, weights.weight.data(), weights.bias.data(), n, weights.epsilon, y);
}

void Ops::linear(const Panels& w, const Input& in, MatrixView<float> out, Epilogue epilogue) const noexcept {
  over(n_panels(w), [&](Range panels) {
    MatmulArgs args = matmul_args(w, in, panels);
    args.out = out.data();
    args.out_stride = out.stride();
    args.epilogue = epilogue;
    kernels_.matmul(args);
  });
}

void Ops::linear_by_groups(const Panels& w, uint32_t n_groups, const Input& in, MatrixView<float> out) const noexcept {
  if (!own_groups(n_groups)) {
    linear(w, in, out);
    return worker_.barrier();
  }
  const size_t group_panels = n_panels(w) / n_groups;
  over(n_groups, [&](Range groups) {
    MatmulArgs args = matmul_args(w, in, {groups.begin * group_panels, groups.end * group_panels});
    args.out = out.data();
    args.out_stride = out.stride();
    kernels_.matmul(args);
  });
}

void Ops::attend(const LayerAttention& attention) const noexcept {
  const size_t n_groups = attention.config.n_kv_head, n_rep = attention.config.n_rep();
  const size_t n_parts = parts_of_group(n_groups, n_rep);
  if (n_parts > 1) {
    attention.each_sequence([&](size_t sequence, Range rows) {
      each_pair(n_groups, sequence, [&](size_t group) { attention.keep(kernels_, group, rows); });
    });
    worker_.barrier();
  }
  attention.each_sequence([&](size_t sequence, Range rows) {
    each_pair(n_groups * n_parts, sequence, [&](size_t i) {
      const size_t group = i / n_parts, part = i % n_parts;
      if (n_parts == 1) attention.keep(kernels_, group, rows);
      attention.attend(kernels_, group, {n_rep * part / n_parts, n_rep * (part + 1) / n_parts}, rows);
    });
  });
}

void Ops::linear_argmax(const Panels& w, const Input& in, MatrixView<float> out, size_t n_valid) const noexcept {
  ArgmaxLanes* lanes = workspace_.argmax_lanes_.data() + size_t{worker_.index()} * workspace_.max_outputs_;
  for (size_t i = 0; i < in.n_rows; ++i) clear_argmax(lanes[i]);
  over(n_panels(w), [&](Range panels) {
    MatmulArgs args = matmul_args(w, in, panels);
    args.out = out.rows() > 0 ? out.data() : nullptr;
    args.out_stride = out.stride();
    args.argmax = lanes;
    args.n_valid = n_valid;
    kernels_.matmul(args);
  });
}

// Shares ascend, so a strict comparison leaves ties to the lowest id.
Argmax Ops::best_token(const Workspace& workspace, size_t row, uint32_t n_threads) noexcept {
  Argmax best;
  for (uint32_t t = 0; t < n_threads; ++t) {
    const ArgmaxLanes& lanes = workspace.argmax_lanes_[size_t{t} * workspace.max_outputs_ + row];
    float value = 0;
    const int32_t token = finish_argmax(lanes, &value);
    best.finite = best.finite && lanes.nonfinite == 0;
    if (token >= 0 && (best.token < 0 || value > best.logit)) {
      best.token = token;
      best.logit = value;
    }
  }
  return best;
}

MatmulArgs Ops::matmul_args(const Panels& w, const Input& in, Range panels) const noexcept {
  MatmulArgs args = {};
  args.w = w;
  args.panel_begin = panels.begin;
  args.panel_end = panels.end;
  args.x = in.x;
  args.x_stride = in.stride;
  args.n_rows = in.n_rows;
  args.epilogue = Epilogue::none;
  return args;
}

// Of few rows, for which the weights come from memory. Waiting for the others is then not lost: the memory of a core
// that is ahead works on, 3 % more tokens/s at int8.
Upcoming Ops::upcoming(const Panels& w, size_t n_rows) const noexcept {
  constexpr size_t kPanels = 4, kBytes = size_t{384} << 10;  // well below an L2 cache
  if (n_rows > kFewRows) return {};
  const Range panels = worker_.share(n_panels(w));
  const size_t stride = panel_bytes(w.dtype, w.n_cols), n = std::min(kPanels, panels.size());
  return {w.data + panels.begin * stride, n, stride, n == 0 ? 0 : std::min(stride, kBytes / n)};
}

}  // namespace gpt2
