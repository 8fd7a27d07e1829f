// What a GGUF file says of its model. Each architecture reuses the description of its block that the Hugging Face
// directories have (architecture.h): keys become those of a config.json, under which messages keep the file's names.
// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <string>
#include <vector>

#include "src/convert/architecture.h"
#include "src/convert/config_json.h"
#include "src/convert/named_tensors.h"
#include "src/io/gguf.h"

namespace gpt2 {

struct GgufConfig {
  ConfigFile file;
  Architecture names;  // the rules of the file's tensors
};

// Reads the configuration; the tensors decide the vocabulary's size, whether q, k and v are one matrix and whether the
// head is wte. Throws Error (exit 3) that names the file and the key: an architecture that is not here, a part of a
// model, an adapter, a key that is missing, or one that changes the arithmetic and is not supported.
GgufConfig read_gguf_config(const GgufFile& gguf, const NamedTensors& tensors);

}  // namespace gpt2
