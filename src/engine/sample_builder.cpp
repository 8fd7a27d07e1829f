#include "src/engine/sample_builder.h"

#include <algorithm>
#include <limits>

namespace gpt2 {

void SampleBuilder::push(TokenId token, bool ends_text) {
  sample_.tokens.push_back(token);
  if (!ends_text) stop_.push(text_.next(token), sample_.text);
}

void SampleBuilder::push_logprobs(TokenLogprob chosen, std::span<const TokenLogprob> top) {
  sample_.logprobs.push_back(chosen);
  sample_.top.emplace_back(top.begin(), top.end());
}

void SampleBuilder::begin_scores(TokenId first) {
  push_logprobs({first, std::numeric_limits<float>::quiet_NaN()}, {});
}

void SampleBuilder::push_scores(std::span<const TokenScore> scores, std::span<const TokenLogprob> top, size_t n_top) {
  const size_t n_each = scores.empty() ? 0 : top.size() / scores.size();
  for (size_t i = 0; i < scores.size(); ++i) {
    push_logprobs({scores[i].token, static_cast<float>(scores[i].logprob)},
                  top.subspan(i * n_each, std::min(n_each, n_top)));
  }
}

void SampleBuilder::finish(std::string_view reason) {
  sample_.finish_reason = stop_.matched() ? "stop" : reason;
  if (stop_.matched()) {
    sample_.stop = stop_.stop();
  } else {
    stop_.finish(sample_.text);
  }
}

}  // namespace gpt2
