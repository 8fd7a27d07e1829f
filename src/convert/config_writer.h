// A model's configuration as the config.json of its architecture: the way back from config_json.h.
#pragma once

#include <string_view>

#include "src/convert/foreign_tensors.h"
#include "src/io/json.h"
#include "src/model/model.h"

namespace gpt2 {

struct ForeignConfig {
  Json json;        // an object
  BiasUses biases;  // what it says of them
};
// Returns the configuration; `dtype` is torch's name of the tensors' type (of Gemma's the one that it was trained in is
// written, which its embeddings' scale tells). Read again it is the model's, the
// frequencies of rotary positions included. Throws Error (exit 3) naming the key of what no config.json of the
// architecture can say.
ForeignConfig foreign_config(const Model& model, std::string_view dtype);

}  // namespace gpt2
