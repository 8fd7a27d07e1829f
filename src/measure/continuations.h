// How likely a model holds continuations of contexts: pairs of texts as tokens, and their log-probabilities from the
// batch, where those with a common beginning are computed together.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/engine/batcher.h"
#include "src/measure/tasks.h"
#include "src/model/model.h"

namespace gpt2 {

struct Continuation {
  std::vector<int32_t> tokens;  // context and continuation, 2 .. n_ctx + 1
  uint32_t first = 1;           // of the continuation, at least 1
  uint32_t n_cut = 0;           // tokens of the context that were left out, the first ones
  bool goes_together = false;   // its context begins much as that of the one before it
};

struct ContinuationScore {
  double logprob = 0;      // natural logarithm, of all its tokens together
  bool is_greedy = false;  // each of its tokens is the most likely one in its place
};

// Returns the tokens of a pair as the harness makes them: those of the whole text, of which the continuation has what
// is behind as many as the context alone has. An empty context becomes the beginning-of-text token, or the
// end-of-text token where there is none. Of what is longer than the model's context the first tokens are left out.
// Throws Error (exit 4) that starts with `place` where the continuation has no tokens, or more than the model's
// positions.
Continuation encode_pair(const Model& model, const TextPair& pair, const std::string& place);

// Called with the number that are scored; may throw to stop.
using ContinuationProgress = std::function<void(size_t done)>;

// Returns the score of each. Throws Error (exit 3) where a logit is not finite.
std::vector<ContinuationScore> score_continuations(Batcher& batcher, std::span<const Continuation> all,
                                                   const ContinuationProgress& progress);

}  // namespace gpt2
