#include "src/engine/score.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"

namespace gpt2 {
namespace {

// One more than there are choices before the token, which need not be one.
uint32_t rank_of(std::span<const float> logits, const Choices& choices, size_t token) {
  const float own = logits[token];
  const size_t end = choices.end();
  uint32_t n_before = 0;
  for (size_t id = 0; id < std::min(token, end); ++id) n_before += logits[id] >= own;
  for (size_t id = token + 1; id < end; ++id) n_before += logits[id] > own;
  for (const int32_t hole : choices.holes()) {
    const auto id = static_cast<size_t>(hole);
    n_before -= id < token ? logits[id] >= own : id > token && logits[id] > own;
  }
  return n_before + 1;
}

}  // namespace

TokenScore Scorer::score(std::span<const float> logits, int32_t token, const Argmax& best,
                         const ScoreRequest& request, std::span<TokenLogprob> top) {
  TokenScore score;
  score.token = token;
  const auto place = static_cast<size_t>(token);
  GPT2_CHECK(place < logits.size());
  const double total = request.distribution ? log_sum_exp(logits, score.entropy) : log_sum_exp(logits);
  score.logprob = logits[place] - total;
  score.best = {best.token, static_cast<float>(best.logit - total)};
  if (!choices_.contains(best.token)) {
    most_likely(logits, choices_, total, {&score.best, std::min<size_t>(choices_.size(), 1)});
  }
  if (request.distribution) score.rank = rank_of(logits, choices_, place);
  most_likely(logits, choices_, total, top);
  if (!request.set.empty()) {
    const size_t n = request.set.size();
    for (size_t i = 0; i < n; ++i) of_set_[i] = logits[static_cast<size_t>(request.set[i])];
    score.set_logprob = log_sum_exp(std::span(of_set_).first(n)) - total;
  }
  return score;
}

// Insertion into a sorted list: most tokens are below its end.
void most_likely(std::span<const float> logits, const Choices& choices, double total, std::span<TokenLogprob> top) {
  GPT2_CHECK(choices.end() <= logits.size() && top.size() <= choices.size());
  if (top.empty()) return;
  const auto logit_of = [&](const TokenLogprob& one) { return logits[static_cast<size_t>(one.token)]; };
  size_t n = 0;
  for (size_t id = 0; id < choices.end(); ++id) {
    if (n == top.size() && logits[id] <= logit_of(top[n - 1])) continue;
    if (!choices.contains(static_cast<int32_t>(id))) continue;
    if (n < top.size()) ++n;
    size_t place = n - 1;
    for (; place > 0 && logit_of(top[place - 1]) < logits[id]; --place) top[place] = top[place - 1];
    top[place] = {static_cast<int32_t>(id), 0};
  }
  for (TokenLogprob& one : top) one.logprob = static_cast<float>(logit_of(one) - total);
}

}  // namespace gpt2
