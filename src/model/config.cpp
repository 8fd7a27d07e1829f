#include "src/model/config.h"

#include <cmath>
#include <string>

#include "kernels/layout.h"
#include "src/base/error.h"

namespace gpt2 {

float Config::attention_scale(uint32_t layer) const {
  double scale = scale_attn_weights ? 1.0 / std::sqrt(static_cast<double>(d_head)) : 1.0;
  if (scale_attn_by_inverse_layer_idx) scale /= static_cast<double>(layer) + 1.0;
  return static_cast<float>(scale);
}

std::string_view name_of(Activation activation) {
  constexpr std::string_view names[] = {"gelu_tanh", "gelu_erf", "relu", "silu"};
  return names[static_cast<size_t>(activation)];
}

std::string_view name_of(Norm norm) { return norm == Norm::layer ? "layer" : "rms"; }
std::string_view name_of(Positions positions) { return positions == Positions::learned ? "learned" : "rotary"; }
std::string_view name_of(Mlp mlp) { return mlp == Mlp::plain ? "plain" : "gated"; }

std::string_view name_of(Residual residual) {
  constexpr std::string_view names[] = {"serial", "parallel_one_norm", "parallel_two_norms"};
  return names[static_cast<size_t>(residual)];
}

namespace {

void check_range(std::string_view file, std::string_view item, uint32_t value, uint32_t most) {
  if (value < 1 || value > most) fail_model(file, item, "1 to " + std::to_string(most), std::to_string(value));
}

void check_heads(const Config& c, std::string_view file) {
  check_range(file, "d_head", c.d_head, static_cast<uint32_t>(kMaxDHead));
  check_range(file, "n_head", c.n_head, kMaxWidth / c.d_head);
  check_range(file, "n_kv_head", c.n_kv_head, c.n_head);
  if (c.n_head % c.n_kv_head != 0) {
    fail_model(file, "n_kv_head", "a divisor of n_head = " + std::to_string(c.n_head), std::to_string(c.n_kv_head));
  }
  if (c.positions == Positions::learned && c.rotary_dims == 0) return;
  const bool rotary = c.positions == Positions::rotary;
  if (rotary && c.rotary_dims >= 2 && c.rotary_dims % 2 == 0 && c.rotary_dims <= c.d_head) return;
  const std::string expected = rotary ? "an even number up to d_head = " + std::to_string(c.d_head) : "0";
  fail_model(file, "rotary_dims", expected, std::to_string(c.rotary_dims));
}

void check_token(std::string_view file, std::string_view item, int32_t id, uint32_t n_vocab) {
  if (id < 0 || static_cast<uint32_t>(id) >= n_vocab) {
    fail_model(file, item, "an id from 0 to " + std::to_string(n_vocab - 1), std::to_string(id));
  }
}

}  // namespace

void derive_heads(Config& c, std::string_view file) {
  check_range(file, "n_head", c.n_head, kMaxWidth);
  if (c.n_embd % c.n_head != 0) {
    fail_model(file, "n_head", "a divisor of n_embd = " + std::to_string(c.n_embd), std::to_string(c.n_head));
  }
  c.d_head = c.n_embd / c.n_head;
  check_range(file, "n_embd / n_head", c.d_head, static_cast<uint32_t>(kMaxDHead));
  c.n_kv_head = c.n_head;
}

void check_config(const Config& c, std::string_view file) {
  check_range(file, "n_layer", c.n_layer, kMaxLayers);
  check_range(file, "n_embd", c.n_embd, kMaxWidth);
  check_heads(c, file);
  check_range(file, "n_inner", c.n_inner, kMaxInner);
  check_range(file, "n_positions", c.n_ctx, kMaxContext);
  check_range(file, "vocab_size", c.n_vocab, kMaxVocab);
  if (c.n_draft_vocab > c.n_vocab) {
    fail_model(file, "n_draft_vocab", "at most vocab_size = " + std::to_string(c.n_vocab),
               std::to_string(c.n_draft_vocab));
  }
  if (!(c.layer_norm_epsilon > 0) || !std::isfinite(c.layer_norm_epsilon)) {
    fail_model(file, "layer_norm_epsilon", "a positive number", std::to_string(c.layer_norm_epsilon));
  }
  if (c.bos_token_id != -1) check_token(file, "bos_token_id", c.bos_token_id, c.n_vocab);
  for (const int32_t id : c.eos_token_ids) check_token(file, "eos_token_id", id, c.n_vocab);
  if (!c.windows.empty() && c.windows.size() != c.n_layer) {
    fail_model(file, "windows", "one for each of " + std::to_string(c.n_layer) + " layers",
               std::to_string(c.windows.size()));
  }
  if (!(c.embedding_scale > 0) || !std::isfinite(c.embedding_scale)) {
    fail_model(file, "embedding_scale", "a positive number", std::to_string(c.embedding_scale));
  }
  if (c.head_bias && c.tied_lm_head) fail_model(file, "head_bias", "a head of its own", "a head that is wte");
}

}  // namespace gpt2
