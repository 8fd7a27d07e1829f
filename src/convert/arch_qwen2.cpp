// Qwen2 and 2.5: Llama with biases on q, k and v, and in some sizes a window in the upper layers.
#include <string>

#include "src/base/error.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

void read_qwen2(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  read_llama_block(in, c);
  file.biases.attention_inputs = true;
  const auto window = in.size("sliding_window");
  const bool windowed = in.flag("use_sliding_window", false);
  const double first = in.number("max_window_layers", 28);
  const Json* types = in.value("layer_types");
  if (types != nullptr && types->array.size() != c.n_layer) {
    in.refuse("layer_types", "an array of " + std::to_string(c.n_layer) + " kinds", *types);
  }
  const auto is_local = [&](uint32_t i) {
    return types != nullptr ? types->array[i].string == "sliding_attention" : i >= first;
  };
  if (windowed && window && *window < c.n_ctx) {
    for (uint32_t i = 0; i < c.n_layer; ++i) c.windows.push_back(is_local(i) ? *window : 0);
  }
  read_rotary(in, c.d_head, file);
}

}  // namespace

const Architecture kQwen2 = {"qwen2", "model.", read_qwen2, llama_tensors(), {"rotary_emb.inv_freq"}};

}  // namespace gpt2
