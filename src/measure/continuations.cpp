#include "src/measure/continuations.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {
namespace {

int32_t prefix_token(const Config& config, const std::string& place) {
  if (config.bos_token_id >= 0) return config.bos_token_id;
  if (config.eos_token_ids.empty())
    fail(ExitCode::input, place + "an empty context needs a beginning-of-text token, and the model has none");
  return config.eos_token_ids[0];
}

// Returns how many tokens two contexts have in common.
uint32_t common_beginning(const Continuation& a, const Continuation& b) {
  const size_t n = std::min(a.first, b.first);
  const auto begin = a.tokens.begin();
  return static_cast<uint32_t>(
      std::mismatch(begin, begin + static_cast<std::ptrdiff_t>(n), b.tokens.begin()).first - begin);
}

}  // namespace

Continuation encode_pair(const Model& model, const TextPair& pair, const std::string& place) {
  const Tokenizer& tokenizer = model.tokenizer();
  Continuation made;
  made.tokens = tokenizer.encode(pair.context + pair.continuation, Specials::parse);
  if (pair.context.empty()) {
    const auto n_before = static_cast<std::ptrdiff_t>(tokenizer.rules().before_text.size());
    made.tokens.erase(made.tokens.begin(), made.tokens.begin() + n_before);
    const int32_t prefix = prefix_token(model.config(), place);
    if (made.tokens.empty() || made.tokens[0] != prefix) made.tokens.insert(made.tokens.begin(), prefix);
  } else {
    made.first = static_cast<uint32_t>(tokenizer.encode(pair.context, Specials::parse).size());
  }
  if (made.first >= made.tokens.size() || made.first == 0)
    fail(ExitCode::input, place + "expected a continuation with tokens of its own, found none");
  const size_t n_own = made.tokens.size() - made.first, n_ctx = model.config().n_ctx;
  if (n_own > n_ctx) {
    fail(ExitCode::input, place + "expected a continuation of at most " + std::to_string(n_ctx) +
                              " tokens, the model's positions, found " + std::to_string(n_own));
  }
  if (made.tokens.size() > n_ctx + 1) {
    made.n_cut = static_cast<uint32_t>(made.tokens.size() - n_ctx - 1);
    made.tokens.erase(made.tokens.begin(), made.tokens.begin() + made.n_cut);
    made.first -= made.n_cut;
  }
  return made;
}

std::vector<ContinuationScore> score_continuations(Batcher& batcher, std::span<const Continuation> all,
                                                   const ContinuationProgress& progress) {
  const size_t most = 4 * size_t{batcher.engine().options().max_slots};
  std::vector<ContinuationScore> scores(all.size(), {0, true});
  uint32_t n_shared = 0;  // by all of the group so far
  size_t n_done = 0;
  for (size_t next = 0; next < all.size() || batcher.unfinished() > 0;) {
    for (; next < all.size() && batcher.unfinished() < most; ++next) {
      const Continuation& one = all[next];
      const bool follows = next > 0 && one.goes_together && n_shared > 0;
      n_shared = follows ? std::min(n_shared, common_beginning(all[next - 1], one)) : one.first;
      Submission submission;
      submission.id = next;
      submission.prompt = one.tokens;
      submission.request.max_new_tokens = 0;
      submission.request.scores.first = one.first;
      submission.n_shared = follows ? n_shared : 0;
      batcher.submit(std::move(submission));
    }
    for (const Event& event : batcher.step()) {
      for (const TokenScore& score : event.scores) {
        scores[event.id].logprob += score.logprob;
        scores[event.id].is_greedy = scores[event.id].is_greedy && score.best.token == score.token;
      }
      if (event.finish == FinishReason::nonfinite)
        fail(ExitCode::model, printable(batcher.engine().model().name(), 400) + ": " +
                                  std::string(batcher.engine().nonfinite_reason()));
      n_done += event.finish != FinishReason::running;
    }
    if (progress) progress(n_done);
  }
  return scores;
}

}  // namespace gpt2
