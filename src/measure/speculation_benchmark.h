// Timing speculation against the same engine without it, on the same prompts: baseline and speculation take turns, so
// that a machine that changes its mind changes both. Beside them, drafts of every length measure what agreement and
// costs allow.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/speculation.h"

namespace gpt2 {

struct SpeculationBenchOptions {
  EngineOptions engine;            // one slot; max_draft is taken from `speculation`
  SpeculationOptions speculation;  // what is timed
  Request request;                 // of every prompt
  uint32_t repetitions = 3;        // of baseline and speculation for each prompt
};

// One prompt: medians over the repetitions, of the seconds after the prompt's own computation.
struct PromptTiming {
  uint64_t tokens = 0;
  double baseline = 0, speculative = 0;
  bool same = true;  // every run gave the same tokens
};

struct SpeculationBenchResult {
  std::vector<PromptTiming> prompts;
  SpeculationStats stats;  // of the runs with speculation
  // From drafts of 1, 2, .. max_draft tokens in turn, whatever they cost:
  double agreement = 0;    // a: proposed tokens that were accepted, of those whose predecessors were
  double draft_cost = 0;   // c: seconds of a drafted token / plain_step
  double plain_step = 0;   // T(1): seconds of the target's step of one row, in the baseline; medians, as the next
  std::array<double, kMaxDraft + 2> relative_step{};  // T(rows) / T(1); 0: not measured
  // Costs fitted to half of the prompts (medians by rows), against the other half's time with speculation; 0: one
  // prompt only.
  double predicted_seconds = 0, measured_seconds = 0;

  double baseline_rate() const;     // tokens per second, of the medians
  double speculative_rate() const;
  double median_speedup() const;    // of the prompts' ratios
  double total_speedup() const;
  size_t n_different() const;       // prompts whose texts were not the same
  // Returns the drift of the baseline's time per token from the first half of the prompts to the second.
  double baseline_drift() const;
  double prediction_error() const { return measured_seconds > 0 ? predicted_seconds / measured_seconds - 1 : 0; }
  // Returns what is left of it when the costs are scaled by the drift of the baseline, which is the machine's.
  double prediction_error_without_drift() const {
    return measured_seconds > 0 ? predicted_seconds * (1 + baseline_drift()) / measured_seconds - 1 : 0;
  }
  // The best number of drafted tokens by expected_speedup() of the measured agreement and costs; {0, 1}: none.
  struct Allowed {
    uint32_t k = 0;
    double speedup = 1;
  };
  Allowed allowed() const;
};

class SpeculationBenchmark {
 public:
  // `target` and the draft outlive it. Throws as Speculation.
  SpeculationBenchmark(const Model& target, const SpeculationBenchOptions& options);

  // Prompts of 1 .. n_ctx tokens. `after(done)` is called after each prompt, and may throw to end it.
  SpeculationBenchResult run(std::span<const std::vector<int32_t>> prompts,
                             const std::function<void(size_t done)>& after);

 private:
  // What a run with speculation tells of a step.
  struct Step {
    uint32_t rows = 0, drafted = 0;
    double seconds = 0, draft_seconds = 0;
  };
  SlotId begin(const Sequence& prompt, bool& running);
  double time_baseline(const Sequence& prompt);
  double time_speculation(const Sequence& prompt, Speculation& speculation);
  void time_prompt(const Sequence& prompt, size_t index, PromptTiming& timing);
  void keep_steps();
  void fit();
  bool compare();
  void predict(const Speculation& speculation, uint32_t rows);
  void summarise();

  SpeculationBenchOptions options_;
  Engine engine_;
  Speculation speculation_, sweep_;
  // Fitted to the first half.
  std::optional<StepCosts> target_costs_, draft_costs_;
  std::vector<int32_t> tokens_, first_tokens_;  // of the last run, of the prompt's first
  std::vector<double> plain_steps_;
  std::vector<Step> steps_;  // of the last run
  std::array<std::vector<double>, kMaxDraft + 2> steps_by_rows_;  // with speculation
  std::vector<double> draft_tokens_;  // seconds of a drafted token
  SpeculationBenchResult result_;
};

}  // namespace gpt2
