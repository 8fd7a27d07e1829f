// From logits to a token: filters with the formulas and the order of Hugging Face `generate`, then Gumbel-max. Pure: the same
// logits, options and noise give the same token on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/engine/noise.h"

namespace gpt2 {

// Applied in this order: temperature, top_k, top_p, min_p; each sees the survivors of the one before.
struct SamplingOptions {
  bool greedy = false;       // the arg-max; nothing below applies
  float temperature = 1.0f;  // > 0: logits / temperature
  uint32_t top_k = 50;       // keep logits at least as large as the k-th largest (ties stay); 0: off
  float top_p = 1.0f;        // keep the smallest set of the most likely tokens whose probability reaches top_p; 1: off
  float min_p = 0.0f;        // keep tokens at least min_p times as likely as the most likely; 0: off
};

// A token that is still possible, and its logit after temperature.
struct Candidate {
  int32_t token = 0;
  float logit = 0;
};

// Scratch for one thread; sized once for a vocabulary, sampling allocates nothing.
class Sampler {
 public:
  explicit Sampler(uint32_t n_vocab);

  // `logits` are all finite, one per token id. The lowest id wins ties.
  int32_t sample(std::span<const float> logits, const SamplingOptions& options, const PositionNoise& noise);

  // The tokens that the filters leave, in no particular order; valid until the next call.
  std::span<const Candidate> filter(std::span<const float> logits, const SamplingOptions& options);

 private:
  void keep_top_k(uint32_t k);
  void keep_top_p(float p);
  void keep_min_p(float p);

  std::vector<Candidate> candidates_;
  std::vector<float> scratch_;
};

}  // namespace gpt2
