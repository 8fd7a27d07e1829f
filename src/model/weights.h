// The parameters of a model as views into a mapped model file: packed panels for the matrices, plain vectors for the
// rest. Immutable; valid as long as the Model that holds the file.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/layout.h"
#include "src/base/matrix_view.h"

namespace gpt2 {

struct NormWeights {
  std::span<const float> weight, bias;  // [n_embd]; an RMS norm has no bias
  float epsilon = 0;
};

struct LayerWeights {
  NormWeights ln_1;
  Panels attn_c_attn;  // n_embd -> n_kv_head x [q's of the group | k | v], each of d_pad rows (row_map.h)
  Panels attn_c_proj;  // n_head x d_head -> n_embd
  NormWeights ln_2;    // ln_1 where attention and MLP share a norm
  Panels mlp_c_fc;    // n_embd -> n_inner, or the gates and values of n_inner
  Panels mlp_c_proj;  // n_inner -> n_embd
  float attention_scale = 1;  // what is left to multiply the scores by: 1 where it was folded into q
};

struct Weights {
  Panels wte;                      // [n_vocab, n_embd], rows padded to whole panels
  MatrixView<const float> wpe;     // [n_ctx, n_embd]; empty where positions turn
  std::span<const float> frequencies;  // [d_pad / 2]: radians by which a pair turns from position to position
  std::vector<LayerWeights> h;     // [n_layer]
  NormWeights ln_f;
  std::span<const uint32_t> draft_ids;  // the tokens of the head's rows, ascending; empty: row i is token i
  Panels lm_head;                  // wte where it is tied; of a draft, the rows of its n_draft_vocab tokens
  uint32_t n_choices = 0;          // rows of the head up to the last token: those behind are never chosen
};

// Returns the cache's type where the user names none: f32 for f32 models, f16 for all others.
inline KvType default_kv_type(const Weights& weights) noexcept {
  return weights.wte.dtype == DType::f32 ? KvType::f32 : KvType::f16;
}

}  // namespace gpt2
