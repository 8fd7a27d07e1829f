// Qwen2 and 2.5: Llama with biases on q, k and v, and in some sizes a window in the upper layers.
#include "src/base/error.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_qwen2(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_block(in, c);
  const auto window = in.size("sliding_window");
  const bool windowed = in.flag("use_sliding_window", false);
  const double first = in.number("max_window_layers", 28);
  in.value("layer_types");  // says the same again
  if (windowed && window && *window < c.n_ctx) {
    for (uint32_t i = 0; i < c.n_layer; ++i) c.windows.push_back(i >= first ? *window : 0);
  }
  read_rotary(in, c.d_head, file);
}

}  // namespace

const Architecture kQwen2 = {"qwen2", "model.", read_qwen2, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
