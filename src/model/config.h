// What a GPT-2 checkpoint says of itself, and the one alphabet of shapes used everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

enum class Activation : uint8_t { gelu_tanh, gelu_erf, relu };

// Never changes after loading.
struct Config {
  uint32_t n_layer = 0;
  uint32_t n_head = 0;
  uint32_t n_embd = 0;   // width of the residual stream
  uint32_t d_head = 0;   // n_embd / n_head
  uint32_t n_inner = 0;  // width of the MLP, 4 * n_embd unless the file says otherwise
  uint32_t n_ctx = 0;    // positions: rows of wpe
  uint32_t n_vocab = 0;  // rows of wte; ids at or above the tokenizer's size are padding
  float layer_norm_epsilon = 1e-5f;
  Activation activation = Activation::gelu_tanh;
  bool scale_attn_weights = true;                // divide scores by sqrt(d_head)
  bool scale_attn_by_inverse_layer_idx = false;  // and by layer + 1
  bool tied_lm_head = true;                      // the head is wte
  uint32_t n_draft_vocab = 0;                    // a draft's head has rows for so many tokens only; 0: for all
  int32_t bos_token_id = -1;                     // -1: none
  std::vector<int32_t> eos_token_ids;            // empty: none

  // Rows of the head: logits of a position.
  uint32_t n_logits() const noexcept { return n_draft_vocab > 0 ? n_draft_vocab : n_vocab; }
  // What the scores of a layer are multiplied by.
  float attention_scale(uint32_t layer) const;
};

// Bounds that every value keeps, so that products of them stay far from 2^64.
inline constexpr uint32_t kMaxLayers = 1024, kMaxWidth = 1u << 17, kMaxInner = 1u << 20, kMaxContext = 1u << 20,
                          kMaxVocab = 1u << 24;

std::string_view activation_name(Activation activation);  // "gelu_tanh", "gelu_erf", "relu"

// Throws Error (exit 3) naming `file` and the field if a value is out of bounds or does not fit the others.
void check_config(const Config& config, std::string_view file);

}  // namespace gpt2
