// Mistral: Llama with a window.
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_mistral(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_block(in, c);
  const auto window = in.size("sliding_window");
  if (window && *window < c.n_ctx) c.windows.assign(c.n_layer, *window);
  read_rotary(in, c.d_head, file);
}

}  // namespace

const Architecture kMistral = {"mistral", "model.", read_mistral, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
