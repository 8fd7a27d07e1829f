// Llama 1, 2, 3, 3.1 and 3.2, SmolLM and SmolLM2, TinyLlama.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_llama(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_block(in, c);
  const bool attention = in.flag("attention_bias", false);
  file.biases = {attention, attention, in.flag("mlp_bias", false)};
  read_rotary(in, c.d_head, file);
}

}  // namespace

const Architecture kLlama = {"llama", "model.", read_llama, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
