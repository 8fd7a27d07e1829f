// GPT-2 and its family, line for line: embed; for each block x += attention(ln_1(x)), x += mlp(ln_2(x)); final norm;
// head. Every thread runs this text over its own part of each line; who does what, and who waits for whom, is in ops.h.
#include "src/model/forward.h"

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/model/ops.h"

namespace gpt2 {

// One call of forward(): its arguments, and the activations of its rows.
class ForwardPass {
 public:
  ForwardPass(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace)
      : c_(config), w_(weights), batch_(batch), workspace_(workspace) {
    choose_outputs();
    const size_t n = batch.rows.size();
    x_ = workspace.x_.rows(n);
    if (c_.positions == Positions::rotary) turns_ = workspace.turns_.rows(n);
    qkv_ = workspace.qkv_.rows(n);
    heads_ = workspace.heads_.rows(n);
    inner_ = workspace.inner_.rows(n);
    logits_ = workspace.logits_.rows(want_logits_ ? outputs_.size() : 0);
  }

  // tokens [n_tokens] -> logits [outputs, n_vocab]
  void run(const Ops& op) const noexcept {
    const bool parallel = c_.residual != Residual::serial;
    embed(op);                                                // x [n_tokens, n_embd]
    for (uint32_t layer = 0; layer < c_.n_layer; ++layer) {
      const LayerWeights& h = w_.h[layer];
      attention(op, layer);                                   // heads = attention(ln_1(x)) [n_tokens, n_head x d_head]
      if (parallel) mlp(op, h);                               // inner, of x before attention is added
      op.linear(h.attn_c_proj, op.input(heads_, h.attn_c_proj), x_, Epilogue::residual);  // x += c_proj(heads)
      if (!parallel) mlp(op, h);                              // inner = act(c_fc(ln_2(x))) [n_tokens, n_inner]
      op.linear(h.mlp_c_proj, op.input(inner_, h.mlp_c_proj), x_, Epilogue::residual);    // x += c_proj(inner)
    }
    if (!outputs_.empty()) head(op);                          // logits = lm_head(ln_f(x)) [outputs, n_vocab]
  }

  ForwardResult result(uint32_t n_threads) const noexcept {
    Argmax* best = workspace_.argmax_.data();
    for (size_t i = 0; i < outputs_.size(); ++i) best[i] = Ops::best_token(workspace_, i, n_threads);
    return {logits_, {best, outputs_.size()}, n_threads};
  }

 private:
  // x = wte[token] + wpe[position], or what the position turns pairs by
  void embed(const Ops& op) const noexcept {
    op.each(batch_.rows.size(), [&](size_t r) {
      const Row& row = batch_.rows[r];
      const float* position = w_.wpe.rows() > 0 ? w_.wpe.row(row.position).data() : nullptr;  // [n_embd]
      embed_row(w_.wte, static_cast<size_t>(row.token), c_.embedding_scale, position, x_.row(r).data());
      if (turns_.rows() > 0) turns_of(row.position, w_.frequencies, turns_.row(r).data());    // [2, d_pad / 2]
    });
  }

  // heads = softmax(scale q k^T, causal) v, with q, k, v = c_attn(ln_1(x))
  void attention(const Ops& op, uint32_t layer) const noexcept {
    const LayerWeights& h = w_.h[layer];
    const Ops::Input normed = op.norm(h.ln_1, x_, h.attn_c_attn);             // [n_tokens, n_embd]
    op.linear_by_groups(h.attn_c_attn, c_.n_kv_head, normed, qkv_);           // [n_tokens, n_kv_head, n_rep + 2, d_pad]
    op.attend({c_, batch_, layer, h.attention_scale, turns_, qkv_, heads_});  // [n_tokens, n_head x d_head]
  }

  // inner = act(c_fc(ln_2(x)))
  void mlp(const Ops& op, const LayerWeights& h) const noexcept {
    const Ops::Input normed = op.norm(h.ln_2, x_, h.mlp_c_fc);                // [n_tokens, n_embd]
    op.linear(h.mlp_c_fc, normed, inner_, activation_of(c_));                 // [n_tokens, n_inner]
  }

  // logits = lm_head(ln_f(x)), of the rows that want something
  void head(const Ops& op) const noexcept {
    const Ops::Input last = op.norm(w_.ln_f, x_, w_.lm_head, outputs_);       // [outputs, n_embd]
    op.linear_argmax(w_.lm_head, last, logits_, w_.n_choices);                // [outputs, n_vocab]
  }

  // Checks the rows and lists those that want something.
  void choose_outputs() noexcept {
    GPT2_CHECK(!batch_.rows.empty() && batch_.rows.size() <= workspace_.max_rows_);
    uint32_t* outputs = workspace_.output_rows_.data();
    size_t n = 0;
    for (uint32_t r = 0; r < batch_.rows.size(); ++r) {
      const Row& row = batch_.rows[r];
      GPT2_CHECK(row.sequence < batch_.sequences.size() && row.position < batch_.sequences[row.sequence]->length());
      GPT2_CHECK(row.position < c_.n_ctx && row.token >= 0 && static_cast<uint32_t>(row.token) < c_.n_vocab);
      if (row.wants == Wants::nothing) continue;
      GPT2_CHECK(n < workspace_.max_outputs_);
      outputs[n++] = r;
      want_logits_ = want_logits_ || row.wants == Wants::logits;
    }
    outputs_ = {outputs, n};
  }

  const Config& c_;
  const Weights& w_;
  const Batch& batch_;
  Workspace& workspace_;
  std::span<const uint32_t> outputs_;
  bool want_logits_ = false;
  MatrixView<float> x_, turns_, qkv_, heads_, inner_, logits_;
};

ForwardResult forward(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
                      const Machine& machine) {
  const ForwardPass pass(config, weights, batch, workspace);
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
