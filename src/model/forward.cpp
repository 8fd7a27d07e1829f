// GPT-2 and its family, line for line: embed; for each block x += attention(ln_1(x)), x += mlp(ln_2(x)); final norm;
// head. Every thread runs this text over its own part of each line; who does what, and who waits for whom, is in ops.h.
#include "src/model/forward.h"

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/model/ops.h"

namespace gpt2 {

// One call of forward(): its arguments, and the activations of its rows.
class ForwardPass {
 public:
  ForwardPass(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
              const KernelTable& kernels)
      : c_(config),
        w_(weights),
        rows_(batch.rows),
        sequences_(batch.sequences),
        workspace_(workspace),
        kernels_(kernels) {
    choose_outputs();
    x_ = workspace.x_.rows(rows_.size());
    if (c_.positions == Positions::rotary) turns_ = workspace.turns_.rows(rows_.size());
    qkv_ = workspace.qkv_.rows(rows_.size());
    heads_ = workspace.heads_.rows(rows_.size());
    inner_ = workspace.inner_.rows(rows_.size());
    logits_ = workspace.logits_.rows(want_logits_ ? outputs_.size() : 0);
  }

  // tokens [n_tokens] -> logits [outputs, n_vocab]
  void run(const Ops& op) const noexcept {
    const bool parallel = c_.residual != Residual::serial;
    embed(op);                                                  // x [n_tokens, n_embd]
    for (uint32_t layer = 0; layer < c_.n_layer; ++layer) {
      const LayerWeights& h = w_.h[layer];
      attention(op, layer);                                     // heads = attention(ln_1(x))
      if (parallel) mlp(op, layer);                             // inner = act(c_fc(ln_2(x))), of x before attention
      op.linear(h.attn_c_proj, op.input(heads_, h.attn_c_proj), x_, Epilogue::residual);       // x += c_proj(heads)
      if (!parallel) mlp(op, layer);                            // inner = act(c_fc(ln_2(x)))
      op.linear(h.mlp_c_proj, op.input(inner_, h.mlp_c_proj), x_, Epilogue::residual);         // x += c_proj(inner)
    }
    if (!outputs_.empty()) head(op);                          // logits = lm_head(ln_f(x))
  }

  ForwardResult result(uint32_t n_threads) const noexcept {
    Argmax* best = workspace_.argmax_.data();
    for (size_t i = 0; i < outputs_.size(); ++i) best[i] = Ops::best_token(workspace_, i, n_threads);
    return {logits_, {best, outputs_.size()}, n_threads};
  }

 private:
  // x = wte[token] + wpe[position], or what the position turns pairs by
  void embed(const Ops& op) const noexcept {
    op.each(rows_.size(), [&](size_t r) {
      const bool learned = c_.positions == Positions::learned;
      const float* position = learned ? w_.wpe.row(rows_[r].position).data() : nullptr;        // [n_embd]
      embed_row(w_.wte, static_cast<size_t>(rows_[r].token), c_.embedding_scale, position, x_.row(r).data());
      if (!learned) turn(r);  // cosines, sines [2, d_pad / 2]
    });
  }

  // The angle is rounded to a float before its cosine is taken, as the models were trained.
  void turn(size_t r) const noexcept {
    const size_t half = w_.frequencies.size();
    for (size_t i = 0; i < half; ++i) {
      const SineCosine angle = portable_sincos(static_cast<float>(rows_[r].position) * w_.frequencies[i]);
      turns_.row(r)[i] = static_cast<float>(angle.cosine);
      turns_.row(r)[half + i] = static_cast<float>(angle.sine);
    }
  }

  // heads = softmax(q k^T, causal) v
  void attention(const Ops& op, uint32_t layer) const noexcept {
    const LayerWeights& h = w_.h[layer];
    const Ops::Input normed = op.norm(h.ln_1, x_, h.attn_c_attn);                              // [n_tokens, n_embd]
    // q, k, v: [n_tokens, n_kv_head x (q.. | k | v) x d_pad]; heads: [n_tokens, n_head x d_head]
    op.linear_by_groups(h.attn_c_attn, c_.n_kv_head, normed, qkv_);
    op.attend(
        c_.n_kv_head, c_.n_rep(), [&](auto&& body) { each_sequence(body); },
        [&](size_t group, Range rows) { store(layer, group, rows); },
        [&](size_t group, Range heads, Range rows) { attend(layer, group, heads, rows); });
  }

  // q, k = rotated q, k; the cache takes k and v of one head of keys, for the rows of one sequence.
  void store(uint32_t layer, size_t group, Range rows) const noexcept {
    const KvSequence& sequence = *sequences_[rows_[rows.begin].sequence];
    const KvLayout& kv = sequence.layout();
    for (size_t r = rows.begin; r < rows.end; ++r) {
      float* heads = group_of(r, group);                                                       // [n_rep + 2, d_pad]
      float* k = heads + size_t{c_.n_rep()} * kv.d_pad;                                        // [d_pad], v behind it
      if (turns_.rows() > 0) {
        const float *cosines = turns_.row(r).data(), *sines = cosines + kv.d_pad / 2;
        for (float* head = heads; head <= k; head += kv.d_pad) kernels_.rotate(head, cosines, sines, kv.d_pad / 2);
      }
      const size_t position = rows_[r].position;
      unsigned char* block = sequence.blocks()[position / kBlockPositions];
      kernels_.store_kv(k, k + kv.d_pad, kv.d_pad, kv.type, position % kBlockPositions,
                        block + kv.k_offset(layer, group), block + kv.v_offset(layer, group));
    }
  }

  // heads[rows, heads of the group] = softmax(q k^T, causal) v
  void attend(uint32_t layer, size_t group, Range heads, Range rows) const noexcept {
    const KvSequence& sequence = *sequences_[rows_[rows.begin].sequence];
    const KvLayout& kv = sequence.layout();
    AttentionArgs args = {};
    args.q = group_of(rows.begin, group) + heads.begin * kv.d_pad;
    args.q_stride = qkv_.stride();
    args.n_rows = rows.size();
    args.n_heads = heads.size();
    args.first_position = rows_[rows.begin].position;
    args.window = c_.window(layer);
    args.blocks = sequence.blocks().data();
    args.k_offset = kv.k_offset(layer, group);
    args.v_offset = kv.v_offset(layer, group);
    args.d_head = c_.d_head;
    args.d_key = turns_.rows() > 0 ? kv.d_pad : c_.d_head;
    args.d_pad = kv.d_pad;
    args.scale = w_.h[layer].attention_scale;
    args.kv_type = kv.type;
    args.out = heads_.row(rows.begin).data() + (group * c_.n_rep() + heads.begin) * c_.d_head;
    args.out_stride = heads_.stride();
    kernels_.attention(args);
  }

  // inner = act(c_fc(ln_2(x)))
  void mlp(const Ops& op, uint32_t layer) const noexcept {
    const LayerWeights& h = w_.h[layer];
    const Ops::Input normed = op.norm(h.ln_2, x_, h.mlp_c_fc);                                 // [n_tokens, n_embd]
    op.linear(h.mlp_c_fc, normed, inner_, activation());                                       // [n_tokens, n_inner]
  }

  // logits = lm_head(ln_f(x)), of the rows that want something
  void head(const Ops& op) const noexcept {
    const Ops::Input last = op.norm(w_.ln_f, x_, w_.lm_head, outputs_);                        // [outputs, n_embd]
    op.linear_argmax(w_.lm_head, last, logits_, c_.n_logits());                                // [outputs, n_vocab]
  }

  Epilogue activation() const noexcept {
    const bool gated = c_.mlp == Mlp::gated;
    switch (c_.activation) {
      case Activation::gelu_tanh: return gated ? Epilogue::gated_gelu_tanh : Epilogue::gelu_tanh;
      case Activation::gelu_erf: return gated ? Epilogue::gated_gelu_erf : Epilogue::gelu_erf;
      case Activation::relu: return gated ? Epilogue::gated_relu : Epilogue::relu;
      case Activation::silu: return gated ? Epilogue::gated_silu : Epilogue::silu;
    }
    return Epilogue::none;
  }

  // q's, k and v of a group of heads.
  float* group_of(size_t r, size_t group) const noexcept {
    return qkv_.row(r).data() + group * (c_.n_rep() + 2) * c_.d_pad();
  }

  // Calls body(its number, its rows) for every sequence.
  template <class Body>
  void each_sequence(Body&& body) const noexcept {
    for (size_t begin = 0, end = 0; begin < rows_.size(); begin = end) {
      while (end < rows_.size() && rows_[end].sequence == rows_[begin].sequence) ++end;
      body(rows_[begin].sequence, Range{begin, end});
    }
  }

  // Checks the rows and lists those that want something.
  void choose_outputs() noexcept {
    GPT2_CHECK(!rows_.empty() && rows_.size() <= workspace_.max_rows_);
    uint32_t* outputs = workspace_.output_rows_.data();
    size_t n = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      const Row& row = rows_[r];
      GPT2_CHECK(row.sequence < sequences_.size() && row.position < sequences_[row.sequence]->length());
      GPT2_CHECK(row.position < c_.n_ctx && row.token >= 0 && static_cast<uint32_t>(row.token) < c_.n_vocab);
      if (row.wants == Wants::nothing) continue;
      GPT2_CHECK(n < workspace_.max_outputs_);
      outputs[n++] = static_cast<uint32_t>(r);
      want_logits_ = want_logits_ || row.wants == Wants::logits;
    }
    outputs_ = {outputs, n};
  }

  const Config& c_;
  const Weights& w_;
  std::span<const Row> rows_;
  std::span<KvSequence* const> sequences_;
  Workspace& workspace_;
  const KernelTable& kernels_;
  std::span<const uint32_t> outputs_;
  bool want_logits_ = false;
  MatrixView<float> x_, turns_, qkv_, heads_, inner_, logits_;
};

ForwardResult forward(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
                      const Machine& machine) {
  const ForwardPass pass(config, weights, batch, workspace, machine.kernels);
  ThreadTeam& team = machine.team;
  auto body = [&](Worker& worker) noexcept { pass.run(Ops(machine.kernels, worker, workspace)); };
  if (team.use() == TeamUse::all) {
    team.run(body);
    return pass.result(team.size());
  }
  TeamSize& learned = workspace.team_size();
  const auto n_rows = static_cast<uint32_t>(batch.rows.size());
  const uint32_t n_threads = std::min(learned.next(n_rows), team.size());
  const double start = now_seconds();
  team.run(n_threads, body);
  learned.record(n_rows, now_seconds() - start, team.slept());
  return pass.result(n_threads);
}

}  // namespace gpt2
