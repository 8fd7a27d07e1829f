// What a text is worth to a model, token by token: the log-probability of each from the logits of the row before it,
// and what else that row says. Sums run in one order over the vocabulary, so that every machine gives the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "src/engine/choices.h"
#include "src/engine/sequence.h"
#include "src/model/workspace.h"

namespace gpt2 {

struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;  // natural logarithm, of the model's softmax before any filter
};

// Of one token of a text, after those before it. Natural logarithms.
struct TokenScore {
  uint32_t index = 0;       // of the token in its text
  int32_t token = -1;
  double logprob = 0;
  TokenLogprob best;        // the most likely choice in its place
  uint32_t rank = 0;        // 1: no choice is more likely (of equals the lowest id first); 0: not asked for
  double entropy = 0;       // of what could stand here, where it is asked for
  double set_logprob = 0;   // of all tokens of ScoreRequest::set together
};

// Scores tokens of one vocabulary; sized once. One for each thread.
class Scorer {
 public:
  explicit Scorer(uint32_t n_vocab) : Scorer(n_vocab, Choices(n_vocab)) {}
  Scorer(uint32_t n_vocab, Choices choices) : choices_(std::move(choices)), of_set_(n_vocab) {}

  // Returns the score of `token`, without its index, and fills `top` as most_likely() does. `logits` are finite, one
  // per id, and `best` is their arg-max.
  TokenScore score(std::span<const float> logits, int32_t token, const Argmax& best, const ScoreRequest& request,
                   std::span<TokenLogprob> top);

 private:
  Choices choices_;
  std::vector<float> of_set_;
};

// Writes the top.size() most likely choices, as many as there are at most: most likely first, of equals the lowest id.
// `total` is the logits' log_sum_exp().
void most_likely(std::span<const float> logits, const Choices& choices, double total, std::span<TokenLogprob> top);

}  // namespace gpt2
