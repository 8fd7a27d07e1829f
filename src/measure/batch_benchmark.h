// Timing the batcher: many prompts in one continuous batch against the same in fixed batches, and what a long prompt
// does to the sequences that run beside it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "src/engine/batcher.h"

namespace gpt2 {

struct BatchBenchOptions {
  EngineOptions engine;         // max_slots: the batch
  uint32_t prompts = 200;       // of 16 .. 64 tokens, each continued by 8 .. 256
  uint32_t long_prompt = 900;   // tokens
  uint32_t repetitions = 1;
};

struct BatchBenchResult {
  // Medians of the repetitions; continuous and fixed take turns.
  double continuous_rate = 0, fixed_rate = 0;  // generated tokens per second, prompts included
  double gain = 0;                             // continuous / fixed
  double busy = 0;                             // share of the slots in use while prompts waited
  // Seconds between two tokens of sequences that run alone (all slots but one), and while a long prompt is computed
  // beside them.
  double median_gap = 0, calm_p99_gap = 0, p99_gap = 0;
  double prompt_alone = 0, prompt_beside = 0;  // seconds of the long prompt
};

class BatchBenchmark {
 public:
  // `model` outlives it; its context holds the long prompt and 64 positions more.
  BatchBenchmark(const Model& model, const BatchBenchOptions& options);

  // `after(done, of)` is called between runs, and may throw to end it.
  BatchBenchResult run(const std::function<void(size_t done, size_t of)>& after);

 private:
  struct Throughput {
    double rate = 0, busy = 0;
  };
  Submission prompt(uint64_t id, uint32_t n_tokens, uint32_t n_new) const;
  Batcher batcher() const;
  Throughput continuous() const;
  Throughput fixed() const;
  void touch_blocks(Batcher& batcher) const;
  void long_prompt_beside(BatchBenchResult& result, std::vector<double>& alone, std::vector<double>& beside) const;

  const Model& model_;
  BatchBenchOptions options_;
  std::vector<Submission> prompts_;
};

}  // namespace gpt2
