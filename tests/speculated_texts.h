// Texts of many requests, with and without speculation, for tests that compare them.
#pragma once

#include <cstdint>
#include <vector>

#include "src/engine/batcher.h"

namespace gpt2::test {

using Tokens = std::vector<int32_t>;

struct SpecCase {
  SamplingOptions sampling;
  Tokens prompt;
  uint32_t n = 40;
  bool slide = false;
};

// The texts of all cases, `batch` at a time, each with its number as seed; `options`: nullptr for no speculation.
std::vector<Tokens> texts(const Model& target, const std::vector<SpecCase>& cases, uint32_t threads, uint32_t batch,
                          const SpeculationOptions* options, SpeculationStats* stats = nullptr);

// The same with a batcher of these options; `logprobs`: of each text's tokens, in the same order.
std::vector<Tokens> texts(const Model& target, const std::vector<SpecCase>& cases, const BatcherOptions& options,
                          std::vector<std::vector<float>>* logprobs = nullptr, SpeculationStats* stats = nullptr);

SamplingOptions greedy();
SamplingOptions warm(float temperature, uint32_t top_k, float top_p);

}  // namespace gpt2::test
