#include "src/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "src/base/error.h"
#include "src/base/fast_exp.h"
#include "src/base/portable_math.h"

namespace gpt2 {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

constexpr size_t kLanes = 4, kChunk = 32;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));  // the compiler's own vectors: any CPU

// Most likely first; of equals the lower id.
bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

}  // namespace

void set_temperature(SamplingOptions& options, float temperature) noexcept {
  constexpr float kColdest = 1e-30f;
  options.greedy = options.greedy || temperature < kColdest;
  options.temperature = temperature < kColdest ? 1 : temperature;
}

Sampler::Sampler(uint32_t n_vocab, Choices choices) : choices_(std::move(choices)), counts_(n_vocab, 0) {
  logits_.reserve(n_vocab);
  candidates_.reserve(n_vocab);
  scratch_.reserve(n_vocab);
}

std::optional<int32_t> Sampler::sample(std::span<const float> logits, const SamplingOptions& options,
                                       const TextSoFar& text, const PositionNoise& noise) {
  std::optional<int32_t> best;
  double best_score = -std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : filter(logits, options, text)) {
    const uint64_t bits = options.greedy ? 0 : noise.bits(candidate.token);
    if (!options.greedy && candidate.logit + PositionNoise::gumbel_bound(bits) < best_score) continue;
    const double score = options.greedy ? double{candidate.logit} : candidate.logit + PositionNoise::gumbel(bits);
    if (!best || score > best_score || (score == best_score && candidate.token < *best)) {
      best = candidate.token;
      best_score = score;
    }
  }
  return best;
}

std::span<const Candidate> Sampler::filter(std::span<const float> logits, const SamplingOptions& options,
                                           const TextSoFar& text) {
  GPT2_CHECK(!logits.empty() && logits.size() <= counts_.size() && options.temperature > 0);
  if (options.changes_logits() || !choices_.holes().empty()) {
    process(logits, options, text);
    logits = logits_;
  }
  logits = logits.first(std::min<size_t>(logits.size(), choices_.end()));
  const float temperature = options.greedy ? 1.0f : options.temperature;
  const bool few = !options.greedy && options.top_k > 0 && options.top_k < logits.size();
  collect(logits, temperature, few ? lower_bound_of_top(logits, options.top_k) : kForbidden);
  if (options.greedy || candidates_.empty()) return candidates_;
  if (options.top_k > 0 && options.top_k < candidates_.size()) keep_top_k(options.top_k);
  if (options.top_p < 1.0f) keep_top_p(options.top_p);
  if (options.min_p > 0.0f) keep_min_p(options.min_p);
  if (options.typical_p < 1.0f) keep_typical(options.typical_p);
  return candidates_;
}

// A logit that at least k reach: the k-th largest of the chunks' largest.
float Sampler::lower_bound_of_top(std::span<const float> logits, uint32_t k) {
  scratch_.clear();
  const size_t n_chunks = logits.size() / kChunk;
  if (n_chunks < k) return kForbidden;
  for (size_t chunk = 0; chunk < n_chunks; ++chunk) {
    Lanes largest, next;
    std::memcpy(&largest, &logits[chunk * kChunk], sizeof largest);
    for (size_t i = kLanes; i < kChunk; i += kLanes) {
      std::memcpy(&next, &logits[chunk * kChunk + i], sizeof next);
      largest = next > largest ? next : largest;
    }
    scratch_.push_back(std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3])));
  }
  std::nth_element(scratch_.begin(), scratch_.begin() + (k - 1), scratch_.end(), std::greater<>());
  return scratch_[k - 1];
}

// The candidates whose logit after the temperature is at least that of `least`.
void Sampler::collect(std::span<const float> logits, float temperature, float least) {
  const auto scaled = [&](float logit) { return std::clamp(logit / temperature, -kLargest, kLargest); };
  // The division may make neighbours equal: those a little below are looked at too.
  const bool all = least == kForbidden;
  const float look = all ? -kLargest : least - std::abs(least) * 1e-6f - std::numeric_limits<float>::min();
  const float scaled_least = all ? kForbidden : scaled(least);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] >= look)) continue;
    const float logit = scaled(logits[i]);
    if (logit >= scaled_least) candidates_.push_back({static_cast<int32_t>(i), logit});
  }
}

void Sampler::process(std::span<const float> logits, const SamplingOptions& options, const TextSoFar& text) {
  GPT2_CHECK(text.n_generated <= text.tokens.size());
  logits_.assign(logits.begin(), logits.end());
  const auto at = [&](int32_t token) -> float& {
    GPT2_CHECK(token >= 0 && static_cast<size_t>(token) < logits_.size());
    return logits_[static_cast<size_t>(token)];
  };
  for (const TokenBias& bias : options.logit_bias) at(bias.token) += bias.bias;
  if (options.repetition_penalty != 1.0f) penalize_repetition(options.repetition_penalty, text.tokens);
  if (options.frequency_penalty != 0.0f || options.presence_penalty != 0.0f)
    penalize_generated(options, text.tokens.last(text.n_generated));
  if (options.no_repeat_ngram > 0) forbid_repeated_ngrams(options.no_repeat_ngram, text.tokens);
  if (text.n_generated < options.min_new_tokens) {
    for (const int32_t token : text.end_of_text) at(token) = kForbidden;
  }
  for (const int32_t token : options.forbidden) at(token) = kForbidden;
  for (const int32_t token : choices_.holes()) at(token) = kForbidden;
}

// Keskar et al. 2019, section 4.1, with the sign rule of transformers: each token of the text counts once.
void Sampler::penalize_repetition(float penalty, std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) {
    const auto id = static_cast<size_t>(token);
    if (counts_[id] != 0) continue;
    counts_[id] = 1;
    logits_[id] = logits_[id] < 0 ? logits_[id] * penalty : logits_[id] / penalty;
  }
  for (const int32_t token : tokens) counts_[static_cast<size_t>(token)] = 0;
}

// The formula of OpenAI's API reference. A logit is changed once, whatever the order of the tokens.
void Sampler::penalize_generated(const SamplingOptions& options, std::span<const int32_t> generated) {
  for (const int32_t token : generated) ++counts_[static_cast<size_t>(token)];
  for (const int32_t token : generated) {
    const auto id = static_cast<size_t>(token);
    const uint32_t count = std::exchange(counts_[id], 0);
    if (count == 0) continue;
    logits_[id] -= static_cast<float>(count) * options.frequency_penalty + options.presence_penalty;
  }
}

// Forbids each token that has followed the text's last n - 1 tokens before.
void Sampler::forbid_repeated_ngrams(uint32_t n, std::span<const int32_t> tokens) {
  if (tokens.size() < n) return;
  const auto last = tokens.last(n - 1);
  for (size_t i = 0; i + last.size() < tokens.size(); ++i) {
    if (std::equal(last.begin(), last.end(), tokens.begin() + static_cast<ptrdiff_t>(i))) {
      logits_[static_cast<size_t>(tokens[i + last.size()])] = kForbidden;
    }
  }
}

void Sampler::keep_top_k(uint32_t k) {
  scratch_.clear();
  for (const Candidate& c : candidates_) scratch_.push_back(c.logit);
  std::nth_element(scratch_.begin(), scratch_.begin() + (k - 1), scratch_.end(), std::greater<>());
  const float threshold = scratch_[k - 1];
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < threshold; });
}

// The most likely tokens, as few as reach p of the probability: what lies behind them sums to at most 1 - p. Of equal
// tokens the lower ids stay (transformers sorts without a rule for them). Only the head of the distribution is sorted:
// first what is within a factor of exp(4) of the most likely token, then what is within its square, and so on.
void Sampler::keep_top_p(float p) {
  float max = kForbidden;
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  double sum = 0;
  for (const Candidate& c : candidates_) sum += fast_exp(double{c.logit} - max);
  const double wanted = sum - (1.0 - static_cast<double>(p)) * sum;
  double cumulative = 0;
  size_t n_sorted = 0;
  for (double reach = 4; n_sorted < candidates_.size(); reach *= 2) {
    const auto begin = candidates_.begin() + static_cast<ptrdiff_t>(n_sorted);
    const auto end =
        std::partition(begin, candidates_.end(), [&](const Candidate& c) { return double{c.logit} - max >= -reach; });
    std::sort(begin, end, more_likely);
    for (auto c = begin; c != end; ++c) {
      cumulative += fast_exp(double{c->logit} - max);
      if (cumulative < wanted) continue;
      candidates_.erase(c + 1, candidates_.end());
      return;
    }
    n_sorted = static_cast<size_t>(end - candidates_.begin());
  }
}

void Sampler::keep_min_p(float p) {
  float max = kForbidden;
  for (const Candidate& c : candidates_) max = std::max(max, c.logit);
  std::erase_if(candidates_, [&](const Candidate& c) { return portable_exp(double{c.logit} - max) < p; });
}

// A token's distance is | -log p - H |, H the entropy. In order of distance, tokens stay until their probability has
// reached `mass`; those as far as the last of them stay too.
void Sampler::keep_typical(float mass) {
  double max = kForbidden, sum = 0, weighted = 0;
  for (const Candidate& c : candidates_) max = std::max(max, double{c.logit});
  for (const Candidate& c : candidates_) {
    const double shifted = c.logit - max, weight = portable_exp(shifted);
    sum += weight;
    weighted += weight * shifted;
  }
  // -log p = log(sum) - shifted, and H = log(sum) - weighted / sum: the distance needs no logarithm.
  const double mean = weighted / sum;
  const auto distance = [&](const Candidate& c) { return std::abs(mean - (c.logit - max)); };
  std::sort(candidates_.begin(), candidates_.end(), [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a), db = distance(b);
    return da < db || (da == db && a.token < b.token);
  });
  double cumulative = 0;
  size_t last = 0;
  for (; last + 1 < candidates_.size(); ++last) {
    cumulative += portable_exp(candidates_[last].logit - max);
    if (cumulative >= static_cast<double>(mass) * sum) break;
  }
  const double furthest = distance(candidates_[last]);
  std::erase_if(candidates_, [&](const Candidate& c) { return distance(c) > furthest; });
}

}  // namespace gpt2
