// GPT-J: attention and MLP beside each other behind one norm; pairs that turn stand side by side; the head has a bias.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_gptj(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  c.n_layer = in.required_size("n_layer");
  c.n_head = in.required_size("n_head");
  c.n_embd = in.required_size("n_embd");
  c.n_vocab = in.required_size("vocab_size");
  c.n_ctx = in.size("n_positions").value_or(2048);
  c.n_inner = in.size("n_inner").value_or(4 * c.n_embd);
  derive_heads(c, in.file());
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_epsilon", 1e-5f);
  c.activation = read_activation(in, "activation_function", Activation::gelu_tanh);
  c.residual = Residual::parallel_one_norm;
  c.tied_lm_head = in.flag("tie_word_embeddings", false);
  c.head_bias = !c.tied_lm_head;
  file.biases = {false, false, true};
  // Absent it is the class's default, null a whole head.
  const uint32_t dims = in.has("rotary_dim") ? in.size("rotary_dim").value_or(c.d_head) : 64;
  read_rotary(in, dims, file);
}

}  // namespace

const Architecture kGptJ = {"gptj",
                            "transformer.",
                            read_gptj,
                            {{"wte", "wte"},
                             {"h.*.ln_1", "h.*.ln_1"},
                             {"h.*.attn.c_attn", "h.*.attn.q_proj", Part::queries, Move::unpair},
                             {"h.*.attn.c_attn", "h.*.attn.k_proj", Part::keys, Move::unpair},
                             {"h.*.attn.c_attn", "h.*.attn.v_proj", Part::values},
                             {"h.*.attn.c_proj", "h.*.attn.out_proj"},
                             {"h.*.mlp.c_fc", "h.*.mlp.fc_in"},
                             {"h.*.mlp.c_proj", "h.*.mlp.fc_out"},
                             {"ln_f", "ln_f"},
                             {"lm_head", "lm_head"}},
                            {".attn.bias", ".attn.masked_bias", ".attn.embed_positions"}};

}  // namespace gpt2
