#include "src/engine/sampler.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "src/base/error.h"
#include "src/base/portable_math.h"

namespace gpt2 {

Sampler::Sampler(uint32_t n_vocab) {
  candidates_.reserve(n_vocab);
  scratch_.reserve(n_vocab);
}

int32_t Sampler::sample(std::span<const float> logits, const SamplingOptions& options, const PositionNoise& noise) {
  if (options.greedy) return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  int32_t best = -1;
  double best_score = -std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : filter(logits, options)) {
    const uint64_t bits = noise.bits(candidate.token);
    if (candidate.logit + PositionNoise::gumbel_bound(bits) < best_score) continue;
    const double score = candidate.logit + PositionNoise::gumbel(bits);
    if (score > best_score || (score == best_score && candidate.token < best)) {
      best = candidate.token;
      best_score = score;
    }
  }
  return best;
}

std::span<const Candidate> Sampler::filter(std::span<const float> logits, const SamplingOptions& options) {
  GPT2_CHECK(!logits.empty() && logits.size() <= candidates_.capacity() && options.temperature > 0);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates_.push_back({static_cast<int32_t>(i), logits[i] / options.temperature});
  }
  if (options.top_k > 0 && options.top_k < candidates_.size()) keep_top_k(options.top_k);
  if (options.top_p < 1.0f) keep_top_p(options.top_p);
  if (options.min_p > 0.0f) keep_min_p(options.min_p);
  return candidates_;
}

void Sampler::keep_top_k(uint32_t k) {
  scratch_.clear();
  for (const Candidate& c : candidates_) scratch_.push_back(c.logit);
  std::nth_element(scratch_.begin(), scratch_.begin() + (k - 1), scratch_.end(), std::greater<>());
  const float threshold = scratch_[k - 1];
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < threshold; });
}

// Ascending cumulative probability; what lies at or below 1 - p goes, the most likely token stays.
void Sampler::keep_top_p(float p) {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit < b.logit || (a.logit == b.logit && a.token > b.token);
  });
  const double max = candidates_.back().logit;
  double sum = 0;
  for (const Candidate& c : candidates_) sum += portable_exp(c.logit - max);
  const double limit = (1.0 - static_cast<double>(p)) * sum;
  double cumulative = 0;
  size_t drop = 0;
  while (drop + 1 < candidates_.size()) {
    cumulative += portable_exp(candidates_[drop].logit - max);
    if (cumulative > limit) break;
    ++drop;
  }
  candidates_.erase(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(drop));
}

void Sampler::keep_min_p(float p) {
  float max = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  std::erase_if(candidates_, [&](const Candidate& c) { return portable_exp(double{c.logit} - max) < p; });
}

}  // namespace gpt2
