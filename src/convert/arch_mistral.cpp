// Mistral: Llama with a window.
#include <optional>

#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_mistral(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_block(in, c);
  // Absent it is the class's default, null none.
  const auto window = in.has("sliding_window") ? in.size("sliding_window") : std::optional<uint32_t>(4096);
  if (window && *window < c.n_ctx) c.windows.assign(c.n_layer, *window);
  read_rotary(in, c.d_head, file);
}

}  // namespace

const Architecture kMistral = {"mistral", "model.", read_mistral, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
