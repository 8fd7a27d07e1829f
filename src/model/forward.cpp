// GPT-2, line for line: embed; for each block x += attention(ln_1(x)), x += mlp(ln_2(x)); final norm; head.
// Every thread runs this text over its own part of each line; who does what, and who waits for whom, is in ops.h.
#include "src/model/forward.h"

#include "src/base/error.h"
#include "src/model/ops.h"

namespace gpt2 {

// One call of forward(): its arguments, and the activations of its rows.
class ForwardPass {
 public:
  ForwardPass(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
              const KernelTable& kernels)
      : c_(config), w_(weights), rows_(batch.rows), sequences_(batch.sequences), workspace_(workspace), kernels_(kernels) {
    choose_outputs();
    x_ = workspace.x_.rows(rows_.size());
    qkv_ = workspace.qkv_.rows(rows_.size());
    heads_ = workspace.heads_.rows(rows_.size());
    inner_ = workspace.inner_.rows(rows_.size());
    logits_ = workspace.logits_.rows(want_logits_ ? outputs_.size() : 0);
  }

  // tokens [n_tokens] -> logits [outputs, n_vocab]
  void run(const Ops& op) const noexcept {
    embed(op);                                                // x [n_tokens, n_embd]
    for (uint32_t layer = 0; layer < c_.n_layer; ++layer) {
      attention(op, layer);                                   // x += attention(ln_1(x))
      mlp(op, layer);                                         // x += mlp(ln_2(x))
    }
    if (!outputs_.empty()) head(op);                          // logits = lm_head(ln_f(x))
  }

  ForwardResult result(uint32_t n_threads) const noexcept {
    Argmax* best = workspace_.argmax_.data();
    for (size_t i = 0; i < outputs_.size(); ++i) best[i] = Ops::best_token(workspace_, i, n_threads);
    return {logits_, {best, outputs_.size()}};
  }

 private:
  // x = wte[token] + wpe[position]
  void embed(const Ops& op) const noexcept {
    op.each(rows_.size(), [&](size_t r) {
      const float* position = w_.wpe.row(rows_[r].position).data();                            // [n_embd]
      embed_row(w_.wte, static_cast<size_t>(rows_[r].token), position, x_.row(r).data());      // [n_embd]
    });
  }

  // x += c_proj(softmax(q k^T) v, head by head)
  void attention(const Ops& op, uint32_t layer) const noexcept {
    const LayerWeights& h = w_.h[layer];
    const Ops::Input normed = op.norm(h.ln_1, x_, h.attn_c_attn);                              // [n_tokens, n_embd]
    op.linear_by_heads(h.attn_c_attn, c_.n_head, normed, qkv_);                                // [n_tokens, n_head x 3 x d_pad]
    for (size_t begin = 0, end = 0; begin < rows_.size(); begin = end) {
      end = end_of_sequence(begin);
      op.each_head(c_.n_head, rows_[begin].sequence, [&](uint32_t head) { attend(layer, head, begin, end); });
    }                                                                                          // [n_tokens, n_head x d_head]
    op.linear(h.attn_c_proj, op.input(heads_, h.attn_c_proj), x_, Epilogue::residual);         // [n_tokens, n_embd]
  }

  // heads[:, head] = softmax(q k^T, causal) v for rows [begin, end) of one sequence; their keys and values go to its cache.
  void attend(uint32_t layer, uint32_t head, size_t begin, size_t end) const noexcept {
    const KvSequence& sequence = *sequences_[rows_[begin].sequence];
    const KvLayout& kv = sequence.layout();
    const auto head_of = [&](size_t r) { return qkv_.row(r).data() + size_t{head} * 3 * kv.d_pad; };   // q, k, v [3, d_pad]
    const size_t k_offset = kv.k_offset(layer, head), v_offset = kv.v_offset(layer, head);
    for (size_t r = begin; r < end; ++r) {
      const float* k = head_of(r) + kv.d_pad;
      const size_t position = rows_[r].position;
      unsigned char* block = sequence.blocks()[position / kBlockPositions];
      kernels_.store_kv(k, k + kv.d_pad, kv.d_pad, kv.type, position % kBlockPositions, block + k_offset, block + v_offset);
    }
    AttentionArgs args = {};
    args.q = head_of(begin);
    args.q_stride = qkv_.stride();
    args.n_rows = end - begin;
    args.first_position = rows_[begin].position;
    args.blocks = sequence.blocks().data();
    args.k_offset = k_offset;
    args.v_offset = v_offset;
    args.d_head = c_.d_head;
    args.d_pad = kv.d_pad;
    args.scale = w_.h[layer].attention_scale;
    args.kv_type = kv.type;
    args.out = heads_.row(begin).data() + size_t{head} * c_.d_head;
    args.out_stride = heads_.stride();
    kernels_.attention(args);
  }

  // x += c_proj(act(c_fc(ln_2(x))))
  void mlp(const Ops& op, uint32_t layer) const noexcept {
    const LayerWeights& h = w_.h[layer];
    const Ops::Input normed = op.norm(h.ln_2, x_, h.mlp_c_fc);                                 // [n_tokens, n_embd]
    op.linear(h.mlp_c_fc, normed, inner_, activation());                                       // [n_tokens, n_inner]
    op.linear(h.mlp_c_proj, op.input(inner_, h.mlp_c_proj), x_, Epilogue::residual);           // [n_tokens, n_embd]
  }

  // logits = lm_head(ln_f(x)), of the rows that want something
  void head(const Ops& op) const noexcept {
    const Ops::Input last = op.norm(w_.ln_f, x_, w_.lm_head, outputs_);                        // [outputs, n_embd]
    op.linear_argmax(w_.lm_head, last, logits_, c_.n_logits());                                // [outputs, n_vocab]
  }

  Epilogue activation() const noexcept {
    switch (c_.activation) {
      case Activation::gelu_tanh: return Epilogue::gelu_tanh;
      case Activation::gelu_erf: return Epilogue::gelu_erf;
      case Activation::relu: return Epilogue::relu;
    }
    return Epilogue::none;
  }

  size_t end_of_sequence(size_t begin) const noexcept {
    size_t end = begin + 1;
    while (end < rows_.size() && rows_[end].sequence == rows_[begin].sequence) ++end;
    return end;
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
  MatrixView<float> x_, qkv_, heads_, inner_, logits_;
};

ForwardResult forward(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
                      const Machine& machine) {
  const ForwardPass pass(config, weights, batch, workspace, machine.kernels);
  machine.team.run([&](Worker& worker) noexcept { pass.run(Ops(machine.kernels, worker, workspace)); });
  return pass.result(machine.team.size());
}

}  // namespace gpt2
