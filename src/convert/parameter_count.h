// The size of a model as people say it.
#pragma once

#include <cstdint>

#include "src/model/schema.h"

namespace gpt2 {

// Returns how many weights and biases a model has.
inline uint64_t count_parameters(const Config& config) {
  uint64_t n = 0;
  for (const TensorSpec& spec : model_schema(config)) n += spec.rows * spec.cols + (spec.bias.empty() ? 0 : spec.rows);
  return n;
}

}  // namespace gpt2
