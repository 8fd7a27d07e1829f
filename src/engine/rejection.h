// Verification by rejection: Leviathan et al. 2023, algorithm 1, and Chen et al. 2023, theorem 1, on the distributions
// that the filters leave. The tokens follow the target's distribution exactly, but the text is not that of a run
// without a draft.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/engine/noise.h"
#include "src/engine/sampler.h"

namespace gpt2 {

struct TokenProbability {
  int32_t token = 0;
  double probability = 0;
};

// How drafted tokens are verified (DESIGN.md section 4).
enum class Verification : uint8_t {
  coupled,    // accepted where the target draws the same token with the same noise: the text does not change
  rejection,  // accepted with probability min(1, p / q): the distribution does not change
};

// Tokens that may come next in a text. They outlive the step that verifies them.
struct Draft {
  std::span<const int32_t> tokens;
  Verification verification = Verification::coupled;
  // Rejection: what each was drawn from; empty: they were looked up
  std::span<const std::vector<TokenProbability>> distributions = {};
};

// The distribution of what the filters left: exp(logit), normalised. Appends.
void append_softmax(std::span<const Candidate> candidates, std::vector<TokenProbability>& out);

// Returns the noise of the draft's own draws and of acceptance; independent of PositionNoise of the same place, which
// draws the rest.
PositionNoise draft_noise(uint64_t seed, uint32_t sample, uint64_t token_index) noexcept;
// Uniform in (0, 1): the draft's noise of an id that no token has.
double acceptance_variate(const PositionNoise& draft) noexcept;

struct Verdict {
  int32_t token = -1;
  bool accepted = false;
};

// What a rejected draw leaves of the target's probability.
struct PositivePart {
  double operator()(int32_t /*token*/, double target, double draft) const {
    return target > draft ? target - draft : 0;
  }
};

class RejectionVerifier {
 public:
  explicit RejectionVerifier(uint32_t n_vocab) : draft_(n_vocab, 0.0) { target_.reserve(n_vocab); }

  // `drafted` was drawn from `draft` with the noise `drafting`; a look-up's token has probability 1. Accepts with
  // probability min(1, p / q), else draws from the positive part of p - q (Gumbel-max with `noise`). `target` is not
  // empty.
  template <class Residual = PositivePart>
  Verdict verify(std::span<const Candidate> target, std::span<const TokenProbability> draft, int32_t drafted,
                 const PositionNoise& drafting, const PositionNoise& noise, Residual residual = {}) {
    target_.clear();
    append_softmax(target, target_);
    for (const TokenProbability& q : draft) draft_[static_cast<size_t>(q.token)] = q.probability;
    const double u = acceptance_variate(drafting);
    Verdict verdict;
    double best = -std::numeric_limits<double>::infinity();
    for (const TokenProbability& p : target_) {
      const double q = draft_[static_cast<size_t>(p.token)];
      if (p.token == drafted && u * q < p.probability) {
        verdict = {drafted, true};
        break;
      }
      const double weight = residual(p.token, p.probability, q);
      if (!(weight > 1e-300)) continue;
      const double score = portable_log(weight) + PositionNoise::gumbel(noise.bits(p.token));
      if (score > best || (score == best && p.token < verdict.token)) {
        best = score;
        verdict.token = p.token;
      }
    }
    for (const TokenProbability& q : draft) draft_[static_cast<size_t>(q.token)] = 0;
    // p <= q everywhere means p = q up to rounding, where a rejection has probability zero up to rounding.
    if (verdict.token < 0) verdict = {drafted, true};
    return verdict;
  }

 private:
  std::vector<TokenProbability> target_;
  std::vector<double> draft_;  // by token, all 0 between two calls
};

}  // namespace gpt2
