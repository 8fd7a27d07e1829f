// config.json of a Hugging Face GPT-2 directory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/convert/config_reader.h"
#include "src/io/json.h"
#include "src/model/config.h"

namespace gpt2 {

struct Architecture;

// Which matrices of a block have biases. A checkpoint without one of them is refused; one may have more.
struct BlockBiases {
  bool attention_inputs = false, attention_output = false, mlp = false;
};

struct ConfigFile {
  Config config;                      // n_vocab from vocab_size; tied_lm_head from tie_word_embeddings (default true)
  const Architecture* architecture = nullptr;  // nullptr: GPT-2's own
  std::vector<float> frequencies;              // [d_pad / 2] where positions turn: radians a position
  BlockBiases biases;
  std::vector<std::string> warnings;  // "config.json: unknown key \"x\" ignored", ids that are no tokens
};

// `text` is the file's content, `file` its path for messages. A known key whose value changes the arithmetic and is not
// supported (an unknown model_type, add_cross_attention true, reorder_and_upcast_attn true is fine (same result),
// quantization_config, an unknown activation_function) is an Error that names key and value. Known inert keys are
// ignored. Token ids below 0 are unset; others that the embeddings do not have are left out with a warning.
ConfigFile parse_config(std::string_view text, std::string_view file);

// The same of a tree that has been read, or that was made from another format's keys with these names.
ConfigFile config_from_json(const Json& json, std::string_view file, const KeyNames& names = {});

// The ids of generation_config.json, which win over those of config.json where they name any token.
void apply_generation_config(std::string_view text, std::string_view file, ConfigFile& config);

}  // namespace gpt2
