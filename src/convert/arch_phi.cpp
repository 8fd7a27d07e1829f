// Phi 1, 1.5 and 2: attention and MLP beside each other behind one norm, half of a head turns, the head has a bias.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_phi(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_sizes(in, c);
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_eps", 1e-5f);
  c.activation = read_activation(in, "hidden_act", Activation::gelu_tanh);
  c.residual = Residual::parallel_one_norm;
  c.tied_lm_head = in.flag("tie_word_embeddings", false);
  c.head_bias = !c.tied_lm_head;
  file.biases = {true, true, true};
  in.require_flag("qk_layernorm", false);
  read_rotary(in, read_partial_dims(in, c, "partial_rotary_factor", 0.5), file);
}

}  // namespace

const Architecture kPhi = {"phi",
                           "model.",
                           read_phi,
                           {{"wte", "embed_tokens"},
                            {"h.*.ln_1", "layers.*.input_layernorm"},
                            {"h.*.attn.c_attn", "layers.*.self_attn.q_proj", Part::queries},
                            {"h.*.attn.c_attn", "layers.*.self_attn.k_proj", Part::keys},
                            {"h.*.attn.c_attn", "layers.*.self_attn.v_proj", Part::values},
                            {"h.*.attn.c_proj", "layers.*.self_attn.dense"},
                            {"h.*.mlp.c_fc", "layers.*.mlp.fc1"},
                            {"h.*.mlp.c_proj", "layers.*.mlp.fc2"},
                            {"ln_f", "final_layernorm"},
                            {"lm_head", "lm_head"}},
                           {"rotary_emb.inv_freq"}};

}  // namespace gpt2
