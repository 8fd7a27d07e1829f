#include "src/model/workspace.h"

#include <algorithm>

#include "src/base/checked.h"

namespace gpt2 {
namespace {

// The widest prepared row of a type; every part of it grows with n.
size_t prepared_stride(size_t n) {
  size_t bytes = 0;
  for (const DType dtype : kAllDTypes) {
    bytes = std::max(bytes, prepared_row_bytes(dtype, n));
  }
  return bytes + kLineBytes;
}

// What the input of a matrix takes at most.
size_t widest_input(const Config& c) { return std::max<size_t>({c.n_embd, c.n_inner, size_t{c.n_head} * c.d_head}); }

// Of every row: the residual stream, its norm and what the next product wants of it; what turns pairs; queries, keys
// and values; attention's output; the MLP.
uint64_t row_bytes(const Config& c) {
  const uint64_t heads = (uint64_t{c.n_head} + 2 * uint64_t{c.n_kv_head} + 1) * c.d_pad();
  const uint64_t floats = 2 * uint64_t{c.n_embd} + heads + uint64_t{c.n_head} * c.d_head + c.n_inner;
  return floats * sizeof(float) + prepared_stride(widest_input(c));
}

uint32_t affordable(uint64_t bytes, uint32_t wanted) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(kStepMemory / bytes, 1, std::max(wanted, 1u)));
}

}  // namespace

uint32_t affordable_rows(const Config& config, uint32_t wanted) { return affordable(row_bytes(config), wanted); }

uint32_t affordable_outputs(const Config& config, uint32_t wanted) {
  return affordable(row_bytes(config) + uint64_t{config.n_logits()} * sizeof(float), wanted);
}

Activations::Activations(size_t max_rows, size_t cols) : cols_(cols), stride_(round_up(cols, kPanelRows) + kPanelRows) {
  const auto bytes = checked_mul(max_rows * stride_, sizeof(float));
  GPT2_CHECK(bytes);
  data_ = AnonymousMemory(*bytes);
}

Workspace::Workspace(const Config& config, uint32_t max_rows, uint32_t max_outputs, uint32_t n_threads)
    : max_rows_(max_rows), max_outputs_(max_outputs), team_size_(n_threads) {
  const size_t d_heads = size_t{config.n_head} * config.d_head;
  const size_t input_rows = std::max<size_t>(std::max(max_rows, max_outputs), size_t{n_threads} * kFewRows);
  x_ = Activations(max_rows, config.n_embd);
  if (config.positions == Positions::rotary) turns_ = Activations(max_rows, config.d_pad());
  qkv_ = Activations(max_rows, (size_t{config.n_head} + 2 * config.n_kv_head) * config.d_pad());
  heads_ = Activations(max_rows, d_heads);
  inner_ = Activations(max_rows, config.n_inner);
  logits_ = Activations(max_outputs, config.n_logits());
  normed_ = Activations(input_rows, config.n_embd);
  prepared_stride_ = prepared_stride(widest_input(config));
  prepared_ = AlignedBuffer<unsigned char>(input_rows * prepared_stride_);
  argmax_lanes_ = AlignedBuffer<ArgmaxLanes>(size_t{n_threads} * max_outputs);
  output_rows_ = AlignedBuffer<uint32_t>(max_outputs);
  argmax_ = AlignedBuffer<Argmax>(max_outputs);
}

}  // namespace gpt2
