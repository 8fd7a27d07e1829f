// A text as it comes out of the engine: tokens become text, stop strings end it, log-probabilities gather beside it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/score.h"
#include "src/engine/stop.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// One sample of the prompt's continuations.
struct Sample {
  uint32_t index = 0;
  std::vector<TokenId> tokens;     // with the end-of-text token where that was the end
  std::string_view finish_reason;  // "eos", "stop", "length", "context", "no_token", "interrupted"
  std::optional<std::string> stop; // the stop string that ended it
  std::string text;                // without the end-of-text token and, unless it was asked for, the stop string
  // Of the tokens, or of the prompt's if none was asked for; NaN for one that nothing precedes.
  std::vector<TokenLogprob> logprobs;
  std::vector<std::vector<TokenLogprob>> top;  // the most likely tokens in the place of each
  double decode_ms = 0;
};

// A sample that grows token by token until it ends by itself or by a stop string.
class SampleBuilder {
 public:
  // `text` stands behind the prompt.
  SampleBuilder(const TokenText& text, uint32_t index, StopMatcher stop) : text_(text), stop_(std::move(stop)) {
    sample_.index = index;
  }
  // `ends_text`: the end-of-text token, which is no text. Text comes out as soon as no stop string can begin in it.
  void push(TokenId token, bool ends_text);
  // Adds the log-probabilities of the token that was pushed last: its own and those of the most likely tokens.
  void push_logprobs(TokenLogprob chosen, std::span<const TokenLogprob> top);
  // The log-probabilities will be those of the prompt's tokens, the first of which has none.
  void begin_scores(TokenId first);
  // Adds those of its next tokens, with the first `n_top` of the most likely in the place of each.
  void push_scores(std::span<const TokenScore> scores, std::span<const TokenLogprob> top, size_t n_top);
  // Ends the sample: what was held back is text, unless a stop string has ended it.
  void finish(std::string_view reason);
  bool stopped() const noexcept { return stop_.matched(); }
  Sample& sample() noexcept { return sample_; }

 private:
  TokenText text_;
  StopMatcher stop_;
  Sample sample_;
};

}  // namespace gpt2
