#include "tools/prompt_run.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/engine/infill.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

// Of one submission, which computes the prompt once. What is submitted takes memory.
constexpr uint32_t kSamplesAtOnce = 256;

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

PromptRun::PromptRun(Batcher& batcher, const RequestArguments& arguments, Output output,
                     std::chrono::steady_clock::time_point start)
    : batcher_(batcher), arguments_(arguments), output_(std::move(output)), start_(start) {}

// Submits the samples from `first` on.
void PromptRun::submit(const Generation& generation, uint32_t first) {
  Submission submission;
  submission.id = first;
  submission.prompt = generation.prompt;
  submission.request = arguments_.resolve(batcher_.engine().model().config());
  submission.request.seed = generation.seed;
  submission.request.sample = first;
  submission.n_samples = std::min(arguments_.n_samples - first, kSamplesAtOnce);
  batcher_.submit(std::move(submission));
}

void PromptRun::take(const Event& event, Generation& generation, SampleBuilder& builder, TextStream* out) {
  const size_t before = builder.sample().text.size();
  builder.push(*event.token, event.finish == FinishReason::eos);
  if (generation.lists_logprobs) {
    builder.push_logprobs({*event.token, event.logprob},
                          event.top.first(std::min<size_t>(event.top.size(), *arguments_.logprobs)));
  }
  if (out != nullptr) out->push(std::string_view(builder.sample().text).substr(before));
  if (generation.n_tokens == 0) generation.first_token_ms = milliseconds_since(start_);
  if (builder.sample().tokens.size() > 1) {
    generation.token_intervals_ms.push_back(static_cast<float>(milliseconds_since(last_token_)));
  }
  last_token_ = Clock::now();
  ++generation.n_tokens;
}

// Steps until the sample ends or a signal comes; text goes to `out` (nullptr: nowhere) as soon as no stop string can
// begin in it.
void PromptRun::continue_sample(Generation& generation, SampleBuilder& builder, TextStream* out) {
  Sample& sample = builder.sample();
  std::string_view reason = "interrupted";
  auto start = Clock::now();
  bool computes_prompt = sample.index == 0;
  for (FinishReason finish = FinishReason::running;
       finish == FinishReason::running && !builder.stopped() && !interrupt_flag();) {
    const std::span<const Event> events = batcher_.step();
    if (computes_prompt) generation.prefill_ms = milliseconds_since(start);
    for (const Event& event : events) {
      generation.n_cached = event.n_cached;
      finish = event.finish;
      builder.push_scores(event.scores, event.score_top, arguments_.logprobs.value_or(0));
      if (event.token && !builder.stopped()) take(event, generation, builder, out);
    }
    if (finish == FinishReason::nonfinite) {
      batcher_.engine().model().check_unchanged();
      fail(ExitCode::model,
           printable(batcher_.engine().model().name(), 400) + ": " + std::string(batcher_.engine().nonfinite_reason()));
    }
    if (finish != FinishReason::running) reason = finish_reason_name(finish);
    const uint32_t place = sample.index % kSamplesAtOnce;
    if (builder.stopped() && finish == FinishReason::running) batcher_.cancel(sample.index - place, place);
    if (computes_prompt && (finish != FinishReason::running || generation.n_tokens > 0)) {
      computes_prompt = false;
      start = Clock::now();
    }
  }
  const size_t before = sample.text.size();
  builder.finish(reason);
  if (out != nullptr) out->push(std::string_view(sample.text).substr(before));
  sample.decode_ms = computes_prompt ? 0 : milliseconds_since(start);
  generation.decode_ms += sample.decode_ms;
  generation.n_steps += sample.tokens.empty() ? 0 : sample.tokens.size() - 1;
}

void PromptRun::write_samples(Generation& generation) {
  TextStream out(is_terminal(STDOUT_FILENO) ? TextStream::Target::terminal : TextStream::Target::pipe);
  generation.lists_logprobs = arguments_.logprobs.has_value();
  const Model& model = batcher_.engine().model();
  const TokenText text = text_behind(model, generation.prompt);
  const bool scores = arguments_.resolve(model.config()).scores.first > 0;
  for (uint32_t i = 0; i < arguments_.n_samples && (i == 0 || !interrupt_flag()); ++i) {
    if (i % kSamplesAtOnce == 0) submit(generation, i);
    SampleBuilder builder(text, i, arguments_.stop_matcher());
    if (scores) builder.begin_scores(generation.prompt[0]);
    Sample& sample = builder.sample();
    sample.tokens.reserve(std::min<size_t>(arguments_.max_new_tokens, model.config().n_ctx));
    if (output_.echo) out.push_faint(*output_.echo);
    continue_sample(generation, builder, output_.json ? nullptr : &out);
    generation.finish_reason = sample.finish_reason;
    ++generation.n_samples;
    if (output_.json) {
      write_output(sample_json(generation, sample, model.tokenizer()));
    } else {
      out.finish();
      const bool whole = sample.finish_reason != "interrupted";
      if (arguments_.n_samples > 1 || (whole && output_.newline)) out.end_line();
    }
  }
}

}  // namespace gpt2
