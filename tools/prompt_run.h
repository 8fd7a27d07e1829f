// One prompt's continuations, streamed token by token, one sample after the other.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/engine/engine.h"
#include "src/engine/speculative_steps.h"
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
  // `engine` has a free slot; `steps`: nullptr without speculation. Both outlive the run. `start`: of the command.
  PromptRun(Engine& engine, SpeculativeSteps* steps, const RequestArguments& arguments, Output output,
            std::chrono::steady_clock::time_point start);

  // Writes the samples of generation.prompt, or as much of them as comes before a signal, and fills in what they took. Throws
  // Error: exit 3 for logits that are not finite, exit 1 if stdout fails.
  void write_samples(Generation& generation);

 private:
  std::optional<Prefix> prefill(Generation& generation);
  void decode(Generation& generation, SampleBuilder& builder, TextStream* out);
  void take(const StepResult& step, Generation& generation, SampleBuilder& builder, TextStream* out);

  Engine& engine_;
  SpeculativeSteps* steps_;
  const RequestArguments& arguments_;
  Output output_;
  std::chrono::steady_clock::time_point start_, last_token_;
};

}  // namespace gpt2
