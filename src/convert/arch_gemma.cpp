// Gemma 1: norms hold weight - 1, embeddings are scaled, "gelu" means the tanh form.
#include <cmath>

#include "kernels/float_types.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

std::string_view dtype_of(ConfigReader& in) {
  const Json *dtype = in.value("dtype"), *older = in.value("torch_dtype");
  return dtype != nullptr ? dtype->string : older != nullptr ? older->string : std::string_view();
}

void read_gemma(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_sizes(in, c);
  if (in.value("head_dim") == nullptr) c.d_head = 256;
  c.norm = Norm::rms;
  c.layer_norm_epsilon = read_epsilon(in, "rms_norm_eps", 1e-6f);
  c.mlp = Mlp::gated;
  const Activation older = read_activation(in, "hidden_act", Activation::gelu_tanh);
  const Activation named = read_activation(in, "hidden_activation", older);
  c.activation = named == Activation::gelu_erf ? Activation::gelu_tanh : named;
  c.embedding_scale = gemma_embedding_scale(c.n_embd, dtype_of(in));
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  const bool attention = in.flag("attention_bias", false);
  file.biases = {attention, attention, false};
  read_rotary(in, c.d_head, file);
}

}  // namespace

float gemma_embedding_scale(uint32_t n_embd, std::string_view dtype) {
  const float root = std::sqrt(static_cast<float>(n_embd));
  if (dtype == "bfloat16") return bf16_to_float(float_to_bf16(root));
  if (dtype == "float16") return f16_to_float(float_to_f16(root));
  return root;
}

std::string_view gemma_dtype(uint32_t n_embd, float embedding_scale) {
  for (const std::string_view dtype : {"float32", "float16", "bfloat16"}) {
    if (gemma_embedding_scale(n_embd, dtype) == embedding_scale) return dtype;
  }
  return {};
}

const Architecture kGemma = {"gemma", "model.", read_gemma, llama_tensors(Move::add_one), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
