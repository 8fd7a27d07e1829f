// Softmax sums over a vocabulary in double: one order of additions everywhere, so every machine gives the same bits.
#pragma once

#include <span>

namespace gpt2 {

// Returns log(sum(exp(x))). Requires at least one value, all finite.
double log_sum_exp(std::span<const float> logits);
// Returns the same; `entropy` becomes that of softmax(x), in nats.
double log_sum_exp(std::span<const float> logits, double& entropy);
// Returns the sum over words of p log(p / q) for p = softmax(reference), q = softmax(logits), in nats; never negative.
double kl_divergence(std::span<const float> reference, std::span<const float> logits);

}  // namespace gpt2
