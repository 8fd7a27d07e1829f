// GPTBigCode (SantaCoder, StarCoder 1): GPT-2 with one head of keys and values, or with q, k and v head by head.
#include "src/base/error.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_gpt_bigcode(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  c.n_layer = in.required_size("n_layer");
  c.n_head = in.required_size("n_head");
  c.n_embd = in.required_size("n_embd");
  c.n_vocab = in.required_size("vocab_size");
  c.n_ctx = in.size("n_positions").value_or(1024);
  c.n_inner = in.size("n_inner").value_or(4 * c.n_embd);
  derive_heads(c, in.file());
  if (in.flag("multi_query", true)) c.n_kv_head = 1;
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_epsilon", 1e-5f);
  c.activation = read_activation(in, "activation_function", Activation::gelu_tanh);
  c.scale_attn_weights = in.flag("scale_attn_weights", true);
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  file.biases = {true, true, true};
  in.refuse_if_used("add_cross_attention", "false (this program has no encoder)");
}

}  // namespace

const Architecture kGptBigCode = {"gpt_bigcode",
                                  "transformer.",
                                  read_gpt_bigcode,
                                  gpt2_tensors(Move::by_group),
                                  {".attn.bias", ".attn.masked_bias"}};

}  // namespace gpt2
