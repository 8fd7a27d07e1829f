#include "src/serve/text_run.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "src/base/error.h"
#include "src/engine/infill.h"

namespace gpt2 {

std::string Choice::next_text() {
  const std::string& text = builder.sample().text;
  std::string out;
  characters.push(std::string_view(text).substr(n_streamed), out);
  n_streamed = text.size();
  if (ended) characters.finish(out);
  return out;
}

TextRun::TextRun(const Api& api, const TextRequest& request)
    : api_(api), n_samples_(request.n_samples), n_top_(request.n_listed), n_cached_(request.prompts.size(), 0) {
  api_.model.check_unchanged();
  const StopMatcher stop(request.stops, request.keep_stop);
  std::vector<Work> works;
  for (const std::vector<TokenId>& prompt : request.prompts) {
    Work work = {prompt, request.request, n_samples_};
    if (prompt.size() < 2) work.request.scores.first = 0;
    const bool is_computed = work.request.max_new_tokens > 0 || work.request.only_scores();
    const TokenText text = text_behind(api.model, prompt);
    for (uint32_t i = 0; i < n_samples_; ++i) {
      Choice& choice = choices_.emplace_back(SampleBuilder(text, i, stop));
      if (request.request.scores.first > 0) choice.builder.begin_scores(prompt[0]);
      if (is_computed) continue;
      choice.builder.finish(finish_reason_name(FinishReason::length));
      choice.ended = true;
    }
    n_prompt_tokens_ += prompt.size();
    prompts_.push_back(static_cast<uint32_t>(&prompt - request.prompts.data()));
    if (!is_computed) {
      prompts_.pop_back();
      continue;
    }
    n_open_ += n_samples_;
    works.push_back(std::move(work));
  }
  if (!works.empty()) job_ = api_.service.submit(std::move(works));
}

std::optional<uint32_t> TextRun::next(ResponseWriter& out) {
  while (n_open_ > 0) {
    while (next_event_ < events_.size()) {
      if (const auto choice = take(events_[next_event_++])) return choice;
    }
    if (!out.wait(job_->ready_fd())) return std::nullopt;
    events_ = job_->take();
    next_event_ = 0;
  }
  return std::nullopt;
}

// Returns nothing for an event of a choice that a stop string has ended.
std::optional<uint32_t> TextRun::take(const JobEvent& event) {
  const uint32_t prompt = prompts_[event.prompt], index = prompt * n_samples_ + event.sample;
  Choice& choice = choices_[index];
  if (choice.ended) return std::nullopt;
  if (event.finish == FinishReason::nonfinite) {
    throw ApiError(500, "the model failed: " + api_.service.nonfinite_reason());
  }
  n_cached_[prompt] = event.n_cached;
  choice.builder.push_scores(event.scores, event.score_top, n_top_);
  if (event.token) {
    ++n_completion_tokens_;
    choice.builder.push(*event.token, event.finish == FinishReason::eos);
    if (!event.top.empty()) {
      choice.builder.push_logprobs({*event.token, event.logprob},
                                   std::span(event.top).first(std::min<size_t>(event.top.size(), n_top_)));
    }
  }
  const bool stopped = choice.builder.stopped();
  if (!stopped && event.finish == FinishReason::running) return index;
  if (stopped && event.finish == FinishReason::running) job_->cancel(event.prompt, event.sample);
  choice.builder.finish(finish_reason_name(event.finish));
  choice.ended = true;
  if (--n_open_ == 0) api_.model.check_unchanged();
  return index;
}

bool TextRun::finish(ResponseWriter& out) {
  while (next(out)) {
  }
  return all_ended();
}

size_t TextRun::n_cached_tokens() const noexcept {
  return std::accumulate(n_cached_.begin(), n_cached_.end(), size_t{0});
}

void check_fits(const Model& model, const std::vector<TokenId>& prompt, const Request& request,
                std::string_view param) {
  const size_t most = size_t{model.config().n_ctx} + (request.only_scores() ? 1 : 0);
  if (prompt.size() <= most) return;
  throw ApiError(400, "the prompt has " + std::to_string(prompt.size()) + " tokens, and the model's context is " +
                          std::to_string(model.config().n_ctx),
                 std::string(param), "context_length_exceeded");
}

void begin_text(const Model& model, std::vector<TokenId>& prompt, std::string_view param) {
  if (!prompt.empty()) return;
  if (model.config().bos_token_id < 0) {
    throw ApiError(400, "the prompt is empty, and the model has no beginning-of-text token", std::string(param));
  }
  prompt.push_back(model.config().bos_token_id);
}

uint64_t fresh_seed() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != sizeof bits) fail_errno("getrandom", "draw a seed", errno);
  return drawn_seed(bits);
}

}  // namespace gpt2
