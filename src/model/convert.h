// A Hugging Face GPT-2 directory becomes a `.gpt2` file, streaming: no more than a panel of it is in memory at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/model/model_writer.h"

namespace gpt2 {

struct ConvertReport {
  Config config;
  uint64_t n_parameters = 0;
  std::vector<std::string> warnings;  // unknown keys, tensors that were left out
};

struct ConvertOptions {
  DType dtype = DType::f32;
  std::vector<KeepRule> keep;
};

// Reads DIR/config.json, the tokenizer and the safetensors (src/io/checkpoint.h), checks that every tensor of the schema is
// there in its shape and as F32, F16 or BF16, and writes the file. Names may carry the prefix "transformer.".
// Throws Error (exit 3) naming file and item before anything is written to `sink`.
ConvertReport convert_checkpoint(const std::string& directory, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress);

}  // namespace gpt2
