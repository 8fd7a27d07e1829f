// GPT-NeoX and Pythia: attention and MLP beside each other, each behind its own norm; q, k and v head by head in one
// matrix.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_gpt_neox(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_sizes(in, c);
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_eps", 1e-5f);
  c.activation = read_activation(in, "hidden_act", Activation::gelu_erf);
  c.residual = in.flag("use_parallel_residual", true) ? Residual::parallel_two_norms : Residual::serial;
  c.tied_lm_head = in.flag("tie_word_embeddings", false);
  const bool attention = in.flag("attention_bias", true);
  file.biases = {attention, attention, true};
  read_rotary(in, read_partial_dims(in, c, "rotary_pct", 0.25), file, "rotary_emb_base");
}

}  // namespace

const Architecture kGptNeoX = {"gpt_neox",
                               "gpt_neox.",
                               read_gpt_neox,
                               {{"wte", "embed_in"},
                                {"h.*.ln_1", "layers.*.input_layernorm"},
                                {"h.*.attn.c_attn", "layers.*.attention.query_key_value", Part::all, Move::by_group},
                                {"h.*.attn.c_proj", "layers.*.attention.dense"},
                                {"h.*.ln_2", "layers.*.post_attention_layernorm"},
                                {"h.*.mlp.c_fc", "layers.*.mlp.dense_h_to_4h"},
                                {"h.*.mlp.c_proj", "layers.*.mlp.dense_4h_to_h"},
                                {"ln_f", "final_layer_norm"},
                                {"lm_head", "embed_out"},
                                {"lm_head", "lm_head"}},
                               {".attention.bias", ".masked_bias", "rotary_emb.inv_freq"}};

}  // namespace gpt2
