// What a checkpoint says of itself: the sizes, in the one alphabet of shapes used everywhere, and what a block is made
// of. All that tells one architecture of the family from another is here; no other file asks for a name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/layout.h"

namespace gpt2 {

enum class Activation : uint8_t { gelu_tanh, gelu_erf, relu, silu };
enum class Norm : uint8_t { layer, rms };
enum class Positions : uint8_t { learned, rotary };
enum class Mlp : uint8_t { plain, gated };  // act(fc x), or act(gate x) * (fc x)
// Where the MLP reads: behind attention; or beside it, from the same norm of x or from one of its own.
enum class Residual : uint8_t { serial, parallel_one_norm, parallel_two_norms };

// Never changes after loading.
struct Config {
  uint32_t n_layer = 0;
  uint32_t n_head = 0;
  uint32_t n_kv_head = 0;  // heads of keys and values, each for n_head / n_kv_head heads of queries
  uint32_t n_embd = 0;     // width of the residual stream
  uint32_t d_head = 0;     // n_embd / n_head unless the file says otherwise
  uint32_t n_inner = 0;  // width of the MLP, 4 * n_embd unless the file says otherwise
  uint32_t n_ctx = 0;    // positions; rows of wpe where they are learned
  uint32_t n_vocab = 0;  // rows of wte; ids at or above the tokenizer's size are padding
  std::string architecture = "gpt2";  // for people
  Norm norm = Norm::layer;
  float layer_norm_epsilon = 1e-5f;  // of either norm
  Positions positions = Positions::learned;
  uint32_t rotary_dims = 0;  // values of a head that turn: pairs (i, i + rotary_dims / 2) of the logical order
  Mlp mlp = Mlp::plain;
  Residual residual = Residual::serial;
  // Of each layer: how many positions a row sees, its own included, 0: all; empty: all everywhere.
  std::vector<uint32_t> windows;
  float embedding_scale = 1;      // of wte's rows where they are embeddings
  bool head_bias = false;         // the head has one
  Activation activation = Activation::gelu_tanh;
  bool scale_attn_weights = true;                // divide scores by sqrt(d_head)
  bool scale_attn_by_inverse_layer_idx = false;  // and by layer + 1
  bool tied_lm_head = true;                      // the head is wte
  uint32_t n_draft_vocab = 0;                    // a draft's head has rows for so many tokens only; 0: for all
  int32_t bos_token_id = -1;                     // -1: none
  std::vector<int32_t> eos_token_ids;            // empty: none

  // Returns the rows of the head, which are the logits of a position.
  uint32_t n_logits() const noexcept { return n_draft_vocab > 0 ? n_draft_vocab : n_vocab; }
  // Width of a head where the kernels work: whole panels, and whole vectors of halves where pairs turn.
  uint32_t d_pad() const noexcept {
    return static_cast<uint32_t>(round_up_size(d_head, positions == Positions::rotary ? 2 * kPanelRows : kPanelRows));
  }
  // Query heads that share keys and values.
  uint32_t n_rep() const noexcept { return n_head / n_kv_head; }
  uint32_t window(uint32_t layer) const noexcept { return windows.empty() ? 0 : windows[layer]; }
  // Returns what the scores of a layer are multiplied by.
  float attention_scale(uint32_t layer) const;
};

// Bounds that every value keeps, so that products of them stay far from 2^64.
inline constexpr uint32_t kMaxLayers = 1024, kMaxWidth = 1u << 17, kMaxInner = 1u << 20, kMaxContext = 1u << 20,
                          kMaxVocab = 1u << 24;

std::string_view name_of(Activation activation);  // "gelu_tanh", "gelu_erf", "relu", "silu"
std::string_view name_of(Norm norm);
std::string_view name_of(Positions positions);
std::string_view name_of(Mlp mlp);
std::string_view name_of(Residual residual);

// Sets d_head to n_embd / n_head and n_kv_head to n_head. Throws Error (exit 3) if n_head does not divide n_embd.
void derive_heads(Config& config, std::string_view file);

// Throws Error (exit 3) naming `file` and the field if a value is out of bounds or does not fit the others.
void check_config(const Config& config, std::string_view file);

}  // namespace gpt2
