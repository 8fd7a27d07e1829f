// OPT: GPT-2 with ReLU and two positions that are never used. The 350m model has its norms behind its blocks and is
// refused.
#include "src/base/error.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_opt(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  c.n_layer = in.required_size("num_hidden_layers");
  c.n_head = in.required_size("num_attention_heads");
  c.n_embd = in.required_size("hidden_size");
  c.n_inner = in.required_size("ffn_dim");
  c.n_vocab = in.required_size("vocab_size");
  c.n_ctx = in.size("max_position_embeddings").value_or(2048);
  derive_heads(c, in.file());
  c.activation = read_activation(in, "activation_function", Activation::relu);
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  in.require_flag("do_layer_norm_before", true);
  in.require_flag("_remove_final_layer_norm", false);
  in.require_flag("layer_norm_elementwise_affine", true);
  const bool biases = in.flag("enable_bias", true);
  file.biases = {biases, biases, biases};
  const uint32_t width = in.size("word_embed_proj_dim").value_or(c.n_embd);
  if (width != c.n_embd) {
    fail_model(in.file(), "word_embed_proj_dim", "hidden_size = " + std::to_string(c.n_embd), std::to_string(width));
  }
}

}  // namespace

const Architecture kOpt = {"opt",
                           "model.",
                           read_opt,
                           {{"wte", "decoder.embed_tokens"},
                            {"wpe", "decoder.embed_positions", Part::all, Move::skip_two},
                            {"h.*.ln_1", "decoder.layers.*.self_attn_layer_norm"},
                            {"h.*.attn.c_attn", "decoder.layers.*.self_attn.q_proj", Part::queries},
                            {"h.*.attn.c_attn", "decoder.layers.*.self_attn.k_proj", Part::keys},
                            {"h.*.attn.c_attn", "decoder.layers.*.self_attn.v_proj", Part::values},
                            {"h.*.attn.c_proj", "decoder.layers.*.self_attn.out_proj"},
                            {"h.*.ln_2", "decoder.layers.*.final_layer_norm"},
                            {"h.*.mlp.c_fc", "decoder.layers.*.fc1"},
                            {"h.*.mlp.c_proj", "decoder.layers.*.fc2"},
                            {"ln_f", "decoder.final_layer_norm"},
                            {"lm_head", "lm_head"}},
                           {}};

}  // namespace gpt2
