// Prompts whose continuations are texts: the way from a protocol's request through the engine to samples, with stop
// strings and whole characters. Prompt-major: the choice of prompt p and sample s is p * n_samples + s.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/engine/sample_builder.h"
#include "src/serve/api.h"
#include "src/serve/service.h"
#include "src/text/utf8.h"

namespace gpt2 {

struct TextRequest {
  std::vector<std::vector<TokenId>> prompts;  // begin_text() and check_fits() see that each can be computed
  Request request;                            // of each
  uint32_t n_samples = 1;
  uint32_t n_listed = 0;                      // of the most likely tokens to keep with each; at most n_logprobs
  std::vector<std::string> stops;             // none is empty
  StopMatcher::Keep keep_stop = StopMatcher::Keep::nothing;
};

// One choice while it grows. `builder.sample()` has its tokens, text and log-probabilities so far.
struct Choice {
  explicit Choice(SampleBuilder b) : builder(std::move(b)) {}
  SampleBuilder builder;
  bool ended = false;
  Utf8Stream characters{InvalidUtf8::replace};
  size_t n_streamed = 0;  // bytes of the text that went through `characters`

  // Returns what is new of the text since the last call, in whole characters.
  std::string next_text();
};

class TextRun {
 public:
  // Submits the request. Throws ApiError.
  TextRun(const Api& api, const TextRequest& request);

  // Waits for the next event, takes it into its choice and returns the choice's index. Returns nothing once all have
  // ended, or the client has left. Throws ApiError (500 where a logit was not finite).
  std::optional<uint32_t> next(ResponseWriter& out);
  // Returns whether next() has an event without waiting: what was made of those before can be written with it.
  bool has_next() const noexcept { return next_event_ < events_.size(); }
  // Runs to the end. Returns false if the client has left before.
  bool finish(ResponseWriter& out);

  bool all_ended() const noexcept { return n_open_ == 0; }
  std::vector<Choice>& choices() noexcept { return choices_; }
  size_t n_prompt_tokens() const noexcept { return n_prompt_tokens_; }
  size_t n_cached_tokens() const noexcept;
  size_t n_completion_tokens() const noexcept { return n_completion_tokens_; }

 private:
  std::optional<uint32_t> take(const JobEvent& event);

  const Api& api_;
  const uint32_t n_samples_, n_top_;
  std::vector<Choice> choices_;
  std::vector<uint32_t> n_cached_;  // by prompt
  std::vector<uint32_t> prompts_;   // by work of the job: there is one only where something is to be computed
  size_t n_open_ = 0, n_prompt_tokens_ = 0, n_completion_tokens_ = 0;
  std::vector<JobEvent> events_;    // of which those from next_event_ on are not looked at yet
  size_t next_event_ = 0;
  std::unique_ptr<Job> job_;        // last: it ends first
};

// Throws ApiError (400, code context_length_exceeded) with both numbers where a prompt is longer than the context; one
// that is only scored may be a token longer.
void check_fits(const Model& model, const std::vector<TokenId>& prompt, const Request& request,
                std::string_view param);
// Makes an empty prompt the beginning-of-text token. Throws ApiError (400) if the model has none.
void begin_text(const Model& model, std::vector<TokenId>& prompt, std::string_view param);
// Returns a seed for a request without one: 53 random bits.
uint64_t fresh_seed();

}  // namespace gpt2
