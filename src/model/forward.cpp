// GPT-2, line for line: embed; for each block x += attention(ln_1(x)), x += mlp(ln_2(x)); final norm; head.
// Every thread runs the same text over its own panels, heads or rows; barriers stand where one phase reads what another
// thread wrote.
#include "src/model/forward.h"

#include <algorithm>

#include "src/base/checked.h"
#include "src/base/clock.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

// Rows are 64-byte aligned and a line longer than they need: strides of 4096 bytes would share a few cache sets.
size_t row_stride(size_t n) { return round_up(n, kPanelRows) + kPanelRows; }

// The widest prepared row of a type; every part of it grows with n.
size_t prepared_stride(size_t n) {
  size_t bytes = 0;
  for (const DType dtype : {DType::f32, DType::bf16, DType::int8, DType::int4}) {
    bytes = std::max(bytes, prepared_row_bytes(dtype, n));
  }
  return bytes + kLineBytes;
}

const unsigned char* as_bytes(const float* x) {
  const void* bytes = x;
  return static_cast<const unsigned char*>(bytes);
}

}  // namespace

Workspace::Workspace(const Config& config, uint32_t max_rows, uint32_t max_outputs, uint32_t n_threads)
    : max_rows_(max_rows), max_outputs_(max_outputs), team_size_(n_threads) {
  const size_t d_pad = round_up(config.d_head, kPanelRows);
  embd_stride_ = row_stride(config.n_embd);
  qkv_stride_ = row_stride(config.n_head * 3 * d_pad);
  inner_stride_ = row_stride(config.n_inner);
  vocab_stride_ = round_up(config.n_logits(), kPanelRows);
  prepared_stride_ = prepared_stride(std::max(config.n_embd, config.n_inner));
  const size_t input_rows = std::max<size_t>(max_rows, size_t{n_threads} * kFewRows);
  x_ = AlignedBuffer<float>(max_rows * embd_stride_);
  normed_ = AlignedBuffer<float>(input_rows * embd_stride_);
  prepared_ = AlignedBuffer<unsigned char>(input_rows * prepared_stride_);
  qkv_ = AlignedBuffer<float>(max_rows * qkv_stride_);
  heads_ = AlignedBuffer<float>(max_rows * embd_stride_);
  inner_ = AlignedBuffer<float>(max_rows * inner_stride_);
  output_ = AlignedBuffer<float>(max_outputs * embd_stride_);
  output_prepared_ = AlignedBuffer<unsigned char>(max_outputs * prepared_stride_);
  logits_ = AlignedBuffer<float>(max_outputs * vocab_stride_);
  argmax_lanes_ = AlignedBuffer<ArgmaxLanes>(size_t{n_threads} * max_outputs);
  output_rows_ = AlignedBuffer<uint32_t>(max_outputs);
  argmax_ = AlignedBuffer<Argmax>(max_outputs);
}

// One call of forward(): the arguments, and the phases as functions of a worker.
class ForwardPass {
 public:
  ForwardPass(const Config& config, const Weights& weights, std::span<const Row> rows,
              std::span<KvSequence* const> sequences, const KvLayout& kv, Workspace& workspace, const KernelTable& kernels)
      : c_(config), w_(weights), rows_(rows), sequences_(sequences), kv_(kv), s_(workspace), kernels_(kernels) {
    GPT2_CHECK(!rows.empty() && rows.size() <= s_.max_rows_);
    for (size_t r = 0; r < rows.size(); ++r) {
      const Row& row = rows[r];
      GPT2_CHECK(row.sequence < sequences.size() && row.position < sequences[row.sequence]->length());
      GPT2_CHECK(row.position < c_.n_ctx && row.token >= 0 && static_cast<uint32_t>(row.token) < c_.n_vocab);
      if (row.wants == Wants::nothing) continue;
      GPT2_CHECK(n_outputs_ < s_.max_outputs_);
      s_.output_rows_[n_outputs_++] = static_cast<uint32_t>(r);
      want_logits_ = want_logits_ || row.wants == Wants::logits;
    }
  }

  void run(Worker& worker) const noexcept {
    embed(worker);                                                           // tokens -> x [n_tokens, n_embd]
    for (uint32_t layer = 0; layer < c_.n_layer; ++layer) {
      const LayerWeights& block = w_.h[layer];
      attention(worker, layer, norm(worker, block.ln_1_weight, block.ln_1_bias, block.attn_c_attn));  // x += attn(ln_1(x))
      mlp(worker, layer, norm(worker, block.ln_2_weight, block.ln_2_bias, block.mlp_c_fc));           // x += mlp(ln_2(x))
    }
    if (n_outputs_ > 0) head(worker);                                        // lm_head(ln_f(x)) -> logits [outputs, n_vocab]
  }

  ForwardResult result(uint32_t n_threads) const noexcept {
    for (uint32_t i = 0; i < n_outputs_; ++i) s_.argmax_[i] = merge_argmax(i, n_threads);
    ForwardResult result;
    result.n_threads = n_threads;
    if (want_logits_) result.logits = {s_.logits_.data(), n_outputs_, c_.n_logits(), s_.vocab_stride_};
    result.argmax = {s_.argmax_.data(), n_outputs_};
    return result;
  }

 private:
  // What a matrix reads: rows of its own type (layout.h).
  struct Input {
    const unsigned char* x;
    size_t stride;  // bytes
  };

  // x = wte[token] + wpe[position]
  void embed(Worker& worker) const noexcept {
    const Range mine = worker.share(rows_.size());
    for (size_t r = mine.begin; r < mine.end; ++r) {
      const float* position = w_.wpe.row(rows_[r].position).data();
      embed_row(w_.wte, static_cast<size_t>(rows_[r].token), position, s_.x_.data() + r * s_.embd_stride_);
    }
    worker.barrier();
  }

  void norm_row(const float* x, std::span<const float> weight, std::span<const float> bias, float* y) const noexcept {
    kernels_.layer_norm(x, weight.data(), bias.data(), c_.n_embd, c_.layer_norm_epsilon, y);
  }

  // Few rows: every thread takes all of them for itself. Many: split and shared.
  struct Split {
    bool alone;
    Range rows;
    size_t first_row;  // of this thread's own copy in normed_ and prepared_
  };
  Split split(Worker& worker) const noexcept {
    if (rows_.size() > kFewRows) return {false, worker.share(rows_.size()), 0};
    return {true, {0, rows_.size()}, size_t{worker.index()} * kFewRows};
  }

  // ln(x) [n_tokens, n_embd], as the matrix `next` reads it
  Input norm(Worker& worker, std::span<const float> weight, std::span<const float> bias, const Panels& next) const noexcept {
    const Split mine = split(worker);
    float* y = s_.normed_.data() + mine.first_row * s_.embd_stride_;
    unsigned char* prepared = s_.prepared_.data() + mine.first_row * s_.prepared_stride_;
    for (size_t r = mine.rows.begin; r < mine.rows.end; ++r) {
      norm_row(s_.x_.data() + r * s_.embd_stride_, weight, bias, y + r * s_.embd_stride_);
      if (is_prepared(next.dtype)) {
        kernels_.prepare_row(next.dtype, y + r * s_.embd_stride_, next.n_cols, prepared + r * s_.prepared_stride_);
      }
    }
    if (!mine.alone) worker.barrier();
    if (is_prepared(next.dtype)) return {prepared, s_.prepared_stride_};
    return {as_bytes(y), s_.embd_stride_ * sizeof(float)};
  }

  // x [n_tokens, next.n_cols] as the matrix `next` reads it
  Input prepare(Worker& worker, const float* x, size_t stride, const Panels& next) const noexcept {
    if (!is_prepared(next.dtype)) return {as_bytes(x), stride * sizeof(float)};
    const Split mine = split(worker);
    unsigned char* prepared = s_.prepared_.data() + mine.first_row * s_.prepared_stride_;
    for (size_t r = mine.rows.begin; r < mine.rows.end; ++r) {
      kernels_.prepare_row(next.dtype, x + r * stride, next.n_cols, prepared + r * s_.prepared_stride_);
    }
    if (!mine.alone) worker.barrier();
    return {prepared, s_.prepared_stride_};
  }

  // out[:, panels] = epilogue(in @ w + b) for this range of w's panels.
  void linear(const Panels& w, Range panels, Input in, float* out, size_t out_stride, Epilogue epilogue) const noexcept {
    MatmulArgs args = {};
    args.w = w;
    args.panel_begin = panels.begin;
    args.panel_end = panels.end;
    args.x = in.x;
    args.x_stride = in.stride;
    args.n_rows = rows_.size();
    args.out = out;
    args.out_stride = out_stride;
    args.epilogue = epilogue;
    kernels_.matmul(args);
  }

  // What this worker reads first of its share of a matrix: of few rows, for which the weights come from memory. Waiting for the
  // others is then not lost: the memory of a core that is ahead works on, 3 % more tokens/s at int8.
  Upcoming upcoming(const Panels& w, Range panels) const noexcept {
    constexpr size_t kPanels = 4, kBytes = size_t{384} << 10;  // well below an L2 cache
    if (rows_.size() > kFewRows) return {};
    const size_t stride = panel_bytes(w.dtype, w.n_cols), n = std::min(kPanels, panels.size());
    return {w.data + panels.begin * stride, n, stride, n == 0 ? 0 : std::min(stride, kBytes / n)};
  }

  // x += c_proj(heads(c_attn(x)))
  void attention(Worker& worker, uint32_t layer, Input normed) const noexcept {
    const LayerWeights& block = w_.h[layer];
    const size_t head_panels = 3 * kv_.d_pad / kPanelRows;
    const bool own_heads = c_.n_head % worker.count() == 0;
    if (own_heads) {
      const Range heads = worker.share(c_.n_head);
      const Range panels = {heads.begin * head_panels, heads.end * head_panels};
      linear(block.attn_c_attn, panels, normed, s_.qkv_.data(), s_.qkv_stride_, Epilogue::none);
    } else {
      const Range panels = worker.share(c_.n_head * head_panels);
      linear(block.attn_c_attn, panels, normed, s_.qkv_.data(), s_.qkv_stride_, Epilogue::none);
      worker.barrier();
    }
    attend(worker, layer, own_heads);
    const Range mine = worker.share(n_panels(block.attn_c_proj));
    worker.barrier(upcoming(block.attn_c_proj, mine));
    const Input heads = prepare(worker, s_.heads_.data(), s_.embd_stride_, block.attn_c_proj);
    linear(block.attn_c_proj, mine, heads, s_.x_.data(), s_.embd_stride_, Epilogue::residual);
    worker.barrier(upcoming(block.mlp_c_fc, worker.share(n_panels(block.mlp_c_fc))));
  }

  // heads[:, head] = softmax(q k^T, causal) v for this worker's (sequence, head) pairs; their keys and values go to the cache.
  void attend(Worker& worker, uint32_t layer, bool own_heads) const noexcept {
    const Range mine = worker.share(c_.n_head);
    size_t pair = 0;
    for (size_t begin = 0; begin < rows_.size();) {
      size_t end = begin + 1;
      while (end < rows_.size() && rows_[end].sequence == rows_[begin].sequence) ++end;
      for (uint32_t head = 0; head < c_.n_head; ++head, ++pair) {
        const bool is_mine = own_heads ? head >= mine.begin && head < mine.end : pair % worker.count() == worker.index();
        if (is_mine) attend_head(layer, head, begin, end);
      }
      begin = end;
    }
  }

  // One head of rows [begin, end), which are consecutive positions of one sequence.
  void attend_head(uint32_t layer, uint32_t head, size_t begin, size_t end) const noexcept {
    const KvSequence& sequence = *sequences_[rows_[begin].sequence];
    float* qkv = s_.qkv_.data() + begin * s_.qkv_stride_ + size_t{head} * 3 * kv_.d_pad;
    const size_t k_offset = kv_.k_offset(layer, head), v_offset = kv_.v_offset(layer, head);
    for (size_t r = begin; r < end; ++r) {
      const size_t position = rows_[r].position;
      unsigned char* data = sequence.blocks()[position / kBlockPositions];
      const float* k = qkv + (r - begin) * s_.qkv_stride_ + kv_.d_pad;
      kernels_.store_kv(k, k + kv_.d_pad, kv_.d_pad, kv_.type, position % kBlockPositions, data + k_offset, data + v_offset);
    }
    AttentionArgs args = {};
    args.q = qkv;
    args.q_stride = s_.qkv_stride_;
    args.n_rows = end - begin;
    args.first_position = rows_[begin].position;
    args.blocks = sequence.blocks().data();
    args.k_offset = k_offset;
    args.v_offset = v_offset;
    args.d_head = c_.d_head;
    args.d_pad = kv_.d_pad;
    args.scale = w_.h[layer].attention_scale;
    args.kv_type = kv_.type;
    args.out = s_.heads_.data() + begin * s_.embd_stride_ + size_t{head} * c_.d_head;
    args.out_stride = s_.embd_stride_;
    kernels_.attention(args);
  }

  // x += c_proj(gelu(c_fc(x)))
  void mlp(Worker& worker, uint32_t layer, Input normed) const noexcept {
    const LayerWeights& block = w_.h[layer];
    linear(block.mlp_c_fc, worker.share(n_panels(block.mlp_c_fc)), normed, s_.inner_.data(), s_.inner_stride_, activation());
    const Range mine = worker.share(n_panels(block.mlp_c_proj));
    worker.barrier(upcoming(block.mlp_c_proj, mine));
    const Input inner = prepare(worker, s_.inner_.data(), s_.inner_stride_, block.mlp_c_proj);
    linear(block.mlp_c_proj, mine, inner, s_.x_.data(), s_.embd_stride_, Epilogue::residual);
    const Panels& next = layer + 1 < c_.n_layer ? w_.h[layer + 1].attn_c_attn : w_.lm_head;
    worker.barrier(upcoming(next, worker.share(n_panels(next))));
  }

  Epilogue activation() const noexcept {
    switch (c_.activation) {
      case Activation::gelu_tanh: return Epilogue::gelu_tanh;
      case Activation::gelu_erf: return Epilogue::gelu_erf;
      case Activation::relu: return Epilogue::relu;
    }
    return Epilogue::none;
  }

  // logits = ln_f(x[outputs]) @ lm_head^T, with the arg-max kept beside them
  void head(Worker& worker) const noexcept {
    const Range mine = worker.share(n_outputs_);
    for (size_t i = mine.begin; i < mine.end; ++i) {
      float* y = s_.output_.data() + i * s_.embd_stride_;
      norm_row(s_.x_.data() + s_.output_rows_[i] * s_.embd_stride_, w_.ln_f_weight, w_.ln_f_bias, y);
      if (is_prepared(w_.lm_head.dtype)) {
        kernels_.prepare_row(w_.lm_head.dtype, y, c_.n_embd, s_.output_prepared_.data() + i * s_.prepared_stride_);
      }
    }
    worker.barrier();
    const Range panels = worker.share(n_panels(w_.lm_head));
    ArgmaxLanes* lanes = s_.argmax_lanes_.data() + size_t{worker.index()} * s_.max_outputs_;
    for (uint32_t i = 0; i < n_outputs_; ++i) clear_argmax(lanes[i]);
    MatmulArgs args = {};
    args.w = w_.lm_head;
    args.panel_begin = panels.begin;
    args.panel_end = panels.end;
    const bool prepared = is_prepared(w_.lm_head.dtype);
    args.x = prepared ? s_.output_prepared_.data() : as_bytes(s_.output_.data());
    args.x_stride = prepared ? s_.prepared_stride_ : s_.embd_stride_ * sizeof(float);
    args.n_rows = n_outputs_;
    args.out = want_logits_ ? s_.logits_.data() : nullptr;
    args.out_stride = s_.vocab_stride_;
    args.epilogue = Epilogue::none;
    args.argmax = lanes;
    args.n_valid = c_.n_logits();
    kernels_.matmul(args);
  }

  // The best of all workers' shares; shares ascend, so a strict comparison leaves ties to the lowest id.
  Argmax merge_argmax(uint32_t output, uint32_t n_threads) const noexcept {
    Argmax best;
    for (uint32_t t = 0; t < n_threads; ++t) {
      const ArgmaxLanes& lanes = s_.argmax_lanes_[size_t{t} * s_.max_outputs_ + output];
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

  const Config& c_;
  const Weights& w_;
  std::span<const Row> rows_;
  std::span<KvSequence* const> sequences_;
  const KvLayout& kv_;
  Workspace& s_;
  const KernelTable& kernels_;
  uint32_t n_outputs_ = 0;
  bool want_logits_ = false;
};

ForwardResult forward(const Config& config, const Weights& weights, std::span<const Row> rows,
                      std::span<KvSequence* const> sequences, const KvLayout& kv, Workspace& workspace,
                      const KernelTable& kernels, ThreadTeam& team) {
  const ForwardPass pass(config, weights, rows, sequences, kv, workspace, kernels);
  auto body = [&](Worker& worker) noexcept { pass.run(worker); };
  if (team.use() == TeamUse::all) {
    team.run(body);
    return pass.result(team.size());
  }
  TeamSize& learned = workspace.team_size();
  const auto n_rows = static_cast<uint32_t>(rows.size());
  const uint32_t n_threads = std::min(learned.next(n_rows), team.size());
  const double start = now_seconds();
  team.run(n_threads, body);
  learned.record(n_rows, now_seconds() - start, team.slept());
  return pass.result(n_threads);
}

}  // namespace gpt2
