// Texts of many requests, with and without speculation, for tests that compare them.
#pragma once

#include <cstdint>
#include <vector>

#include "src/engine/speculation.h"

namespace gpt2::test {

using Tokens = std::vector<int32_t>;

struct SpecCase {
  SamplingOptions sampling;
  Tokens prompt;
  uint32_t n = 40;
};

// The texts of all cases, `batch` at a time, each with its number as seed; `options`: nullptr for no speculation.
std::vector<Tokens> texts(const Model& target, const std::vector<SpecCase>& cases, uint32_t threads, uint32_t batch,
                          const SpeculationOptions* options, SpeculationStats* stats = nullptr);

SamplingOptions greedy();
SamplingOptions warm(float temperature, uint32_t top_k, float top_p);

}  // namespace gpt2::test
