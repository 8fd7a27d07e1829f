// GPT-Neo: GPT-2 with scores that are not scaled and layers that see a window.
#include "src/base/error.h"
#include "src/convert/architecture.h"

namespace gpt2 {
namespace {

// [[["global", "local"], 12]]: kinds of layers and how often they come, until all layers have one.
void read_windows(ConfigReader& in, Config& c) {
  const uint32_t window = in.size("window_size").value_or(256);
  const Json* types = in.value("attention_types");
  in.value("attention_layers");  // the same, written out
  c.windows.clear();
  if (types == nullptr) {
    for (uint32_t i = 0; i < c.n_layer; ++i) c.windows.push_back(i % 2 == 1 ? window : 0);
    return;
  }
  for (const Json& period : types->array) {
    if (period.array.size() != 2) in.refuse("attention_types", "lists of kinds and a count", period);
    for (int64_t n = 0; n < period.array[1].integer && c.windows.size() < c.n_layer; ++n) {
      for (const Json& kind : period.array[0].array) {
        const bool known = kind.string == "global" || kind.string == "local";
        if (!known) in.refuse("attention_types", "\"global\" or \"local\"", kind);
        c.windows.push_back(kind.string == "local" ? window : 0);
      }
      if (period.array[0].array.empty()) in.refuse("attention_types", "a kind of layer", period);
    }
  }
  if (c.windows.size() != c.n_layer) in.refuse("attention_types", std::to_string(c.n_layer) + " layers", *types);
}

void read_gpt_neo(ConfigReader& in, ConfigFile& file) {
  Config& c = file.config;
  c.n_layer = in.required_size("num_layers");
  c.n_head = in.required_size("num_heads");
  c.n_embd = in.required_size("hidden_size");
  c.n_vocab = in.required_size("vocab_size");
  c.n_ctx = in.size("max_position_embeddings").value_or(2048);
  c.n_inner = in.size("intermediate_size").value_or(4 * c.n_embd);
  derive_heads(c, in.file());
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_epsilon", 1e-5f);
  c.activation = read_activation(in, "activation_function", Activation::gelu_tanh);
  c.scale_attn_weights = false;
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  file.biases = {false, true, true};
  read_windows(in, c);
}

}  // namespace

const Architecture kGptNeo = {"gpt_neo",
                              "transformer.",
                              read_gpt_neo,
                              {{"wte", "wte"},
                               {"wpe", "wpe"},
                               {"h.*.ln_1", "h.*.ln_1"},
                               {"h.*.attn.c_attn", "h.*.attn.attention.q_proj", Part::queries},
                               {"h.*.attn.c_attn", "h.*.attn.attention.k_proj", Part::keys},
                               {"h.*.attn.c_attn", "h.*.attn.attention.v_proj", Part::values},
                               {"h.*.attn.c_proj", "h.*.attn.attention.out_proj"},
                               {"h.*.ln_2", "h.*.ln_2"},
                               {"h.*.mlp.c_fc", "h.*.mlp.c_fc"},
                               {"h.*.mlp.c_proj", "h.*.mlp.c_proj"},
                               {"ln_f", "ln_f"},
                               {"lm_head", "lm_head"}},
                              {".attention.bias", ".attention.masked_bias"}};

}  // namespace gpt2
