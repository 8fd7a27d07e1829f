#include "tools/prompt_run.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

using Clock = std::chrono::steady_clock;
double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

PromptRun::PromptRun(Engine& engine, SpeculativeSteps* steps, const RequestArguments& arguments, Output output,
                     std::chrono::steady_clock::time_point start)
    : engine_(engine), steps_(steps), arguments_(arguments), output_(std::move(output)), start_(start) {}

// Nothing if a signal came first.
std::optional<Prefix> PromptRun::prefill(Generation& generation) {
  const auto start = Clock::now();
  std::optional<Prefix> prefix = engine_.prefill(generation.prompt, &interrupt_flag());
  generation.prefill_ms = milliseconds_since(start);
  generation.n_cached = prefix ? prefix->n_cached() : 0;
  return prefix;
}

void PromptRun::take(const StepResult& step, Generation& generation, SampleBuilder& builder, TextStream* out) {
  for (size_t i = 0; i < step.tokens.size() && !builder.stopped(); ++i) {
    const size_t before = builder.sample().text.size();
    builder.push(step.tokens[i], step.finish == FinishReason::eos && i + 1 == step.tokens.size());
    if (generation.lists_logprobs) {
      const size_t n = step.top.size() / step.tokens.size();
      builder.push_logprobs(step.chosen[i].logprob, step.top.subspan(i * n, std::min<size_t>(n, *arguments_.logprobs)));
    }
    if (out != nullptr) out->push(std::string_view(builder.sample().text).substr(before));
    if (generation.n_tokens == 0) generation.first_token_ms = milliseconds_since(start_);
    if (builder.sample().tokens.size() > 1) {
      generation.token_intervals_ms.push_back(static_cast<float>(milliseconds_since(last_token_)));
    }
    last_token_ = Clock::now();
    ++generation.n_tokens;
  }
}

// Generates until an end or a signal; text goes to `out` (nullptr: nowhere) as soon as no stop string can begin in it.
void PromptRun::decode(Generation& generation, SampleBuilder& builder, TextStream* out) {
  std::string_view reason = "interrupted";
  const auto start = Clock::now();
  for (StepResult step; step.finish == FinishReason::running && !builder.stopped() && !interrupt_flag();) {
    step = (steps_ != nullptr ? steps_->generate() : engine_.generate()).front();
    if (step.finish == FinishReason::nonfinite) {
      fail(ExitCode::model,
           printable(engine_.model().name(), 400) + ": " + std::string(engine_.nonfinite_reason()));
    }
    if (step.finish != FinishReason::running) reason = finish_reason_name(step.finish);
    take(step, generation, builder, out);
  }
  Sample& sample = builder.sample();
  const size_t before = sample.text.size();
  builder.finish(reason);
  if (out != nullptr) out->push(std::string_view(sample.text).substr(before));
  sample.decode_ms = milliseconds_since(start);
  generation.decode_ms += sample.decode_ms;
  generation.n_steps += sample.tokens.empty() ? 0 : sample.tokens.size() - 1;
}

void PromptRun::write_samples(Generation& generation) {
  const Config& config = engine_.model().config();
  TextStream out(is_terminal(STDOUT_FILENO) ? TextStream::Target::terminal : TextStream::Target::pipe);
  Request request = arguments_.resolve(config);
  request.seed = generation.seed;
  generation.lists_logprobs = arguments_.logprobs.has_value();
  if (output_.echo) out.push_faint(*output_.echo);
  std::optional<Prefix> prefix = prefill(generation);
  const uint32_t n_samples = arguments_.n_samples;
  for (uint32_t i = 0; i < n_samples && (i == 0 || !interrupt_flag()); ++i) {
    SampleBuilder builder(engine_.model().tokenizer(), i, arguments_.stop_matcher());
    Sample& sample = builder.sample();
    sample.finish_reason = "interrupted";
    sample.tokens.reserve(std::min<size_t>(arguments_.max_new_tokens, config.n_ctx));
    if (i > 0 && output_.echo) out.push_faint(*output_.echo);
    if (prefix) {
      request.sample = i;
      const SlotId slot = engine_.insert(i + 1 < n_samples ? prefix->fork() : std::move(*prefix), request);
      decode(generation, builder, output_.json ? nullptr : &out);
      engine_.release(slot);
    }
    generation.finish_reason = sample.finish_reason;
    ++generation.n_samples;
    if (output_.json) {
      write_output(sample_json(generation, sample));
    } else {
      out.finish();
      if (n_samples > 1) out.end_line();
    }
  }
}

}  // namespace gpt2
