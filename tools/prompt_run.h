// One prompt's continuations, streamed token by token, one sample after the other: a batch of one.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/engine/batcher.h"
#include "tools/generation.h"
#include "tools/request_arguments.h"
#include "tools/streams.h"

namespace gpt2 {

class PromptRun {
 public:
  // What goes to stdout: objects, or text with `echo` before each sample where there is one.
  struct Output {
    bool json = false;
    bool newline = true;  // a text that is whole ends its line
    std::optional<std::string> echo;
  };
  // `batcher` has nothing to do and one slot, so that samples follow one another. It outlives the run. `start`: when
  // the command began.
  PromptRun(Batcher& batcher, const RequestArguments& arguments, Output output,
            std::chrono::steady_clock::time_point start);

  // Writes the samples of generation.prompt, or as much of them as comes before a signal, and fills in what they took.
  // Throws Error: exit 3 for logits that are not finite, exit 1 if stdout fails.
  void write_samples(Generation& generation);

 private:
  using Clock = std::chrono::steady_clock;
  void submit(const Generation& generation, uint32_t first);
  void continue_sample(Generation& generation, SampleBuilder& builder, TextStream* out);
  void take(const Event& event, Generation& generation, SampleBuilder& builder, TextStream* out);

  Batcher& batcher_;
  const RequestArguments& arguments_;
  Output output_;
  Clock::time_point start_, last_token_;
};

}  // namespace gpt2
