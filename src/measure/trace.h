// One pass over a text that shows every intermediate: plain loops, one row and one matrix after the other, in the
// kernels that define the arithmetic. Slow, and written apart from forward.cpp, whose bits its logits have to be.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/engine/engine.h"
#include "src/model/model.h"

namespace gpt2 {

struct TraceTensor {
  std::string name;             // "h.3.attn.q"
  std::vector<uint64_t> shape;  // of floats, row-major
};

// Returns the tensors of a text of n tokens in the order in which a reader of the model meets them:
//   embedding [n, n_embd]            wte (times its scale) + wpe
//   h.L.ln_1 [n, n_embd]             the norm before attention
//   h.L.attn.q [n, n_head, d_head]   behind rotation, before the attention scale; pairs that turn are halves of
//   h.L.attn.k [n, n_kv_head, d_head]  the rotary values: (i, i + rotary_dims / 2)
//   h.L.attn.v [n, n_kv_head, d_head]
//   h.L.attn.probabilities [n_head, n, n]  of row i over the positions that it sees; 0 elsewhere
//   h.L.attn.heads [n, n_head * d_head]    probabilities times v
//   h.L.attn.out [n, n_embd]         c_proj of the heads
//   h.L.attn.residual [n, n_embd]    the stream with it
//   h.L.ln_2 [n, n_embd]             the norm before the MLP: of h.L.attn.residual, or beside attention of the stream
//                                    that ln_1 reads; there is none where both share ln_1
//   h.L.mlp.inner [n, n_inner]       behind the activation, gated where the model's is
//   h.L.mlp.out [n, n_embd]          c_proj of it
//   h.L.residual [n, n_embd]         the stream behind the block
//   ln_f [n, n_embd]
//   logits [n, n_vocab]
std::vector<TraceTensor> trace_tensors(const Config& config, size_t n);

// Takes values of tensor number `tensor` of trace_tensors() from its element `first` on; may throw to stop.
using TraceWrite = std::function<void(size_t tensor, uint64_t first, std::span<const float> values)>;

struct TraceOptions {
  // Whose matrix products: scalar's; of a model with bf16 matrices the tier's, since these round in their own way.
  const KernelTable* products = nullptr;  // required
  KvType kv_type = KvType::f32;
};

// Computes 1 .. n_ctx tokens, each below n_vocab, and hands every value to `write` once, tensors in order. Returns a
// hash of each row of logits.
std::vector<uint64_t> trace(const Model& model, std::span<const int32_t> tokens, const TraceOptions& options,
                            const TraceWrite& write);

// Returns the first row whose logits, as the engine computes them, have another hash; nullopt if there is none.
std::optional<size_t> first_other_row(Engine& engine, std::span<const int32_t> tokens,
                                      std::span<const uint64_t> hashes);

// Returns whether a matrix of the model has this type.
bool has_matrix_of(const Model& model, DType dtype);

}  // namespace gpt2
