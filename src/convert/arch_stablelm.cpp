// StableLM: Llama's tensors with LayerNorm; partial rotary.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_stablelm(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_sizes(in, c);
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_eps", read_epsilon(in, "norm_eps", 1e-5f));
  c.mlp = Mlp::gated;
  c.activation = read_activation(in, "hidden_act", Activation::silu);
  c.residual = in.flag("use_parallel_residual", false) ? Residual::parallel_one_norm : Residual::serial;
  c.tied_lm_head = in.flag("tie_word_embeddings", false);
  file.biases.attention_inputs = in.flag("use_qkv_bias", false);
  in.require_flag("qk_layernorm", false);
  const double older = in.number("rope_pct", 0.25);
  read_rotary(in, read_partial_dims(in, c, "partial_rotary_factor", older), file);
}

}  // namespace

const Architecture kStableLm = {"stablelm", "model.", read_stablelm, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
