// Many requests over one engine: they wait, run together, share what their prompts have in common, and report token by
// token. What a request gives does not depend on what runs beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/scheduler.h"
#include "src/engine/speculation.h"

namespace gpt2 {

struct BatcherOptions {
  SpeculationOptions speculation;  // no draft: none; engine.max_draft is taken from it
  EngineOptions engine;     // kv_blocks is taken from kv_memory where it is 0
  // Bytes of the pool; 0: half of the memory that the process may use, at most what the slots can fill twice.
  uint64_t kv_memory = 0;
};

// Returns the slots that suit a model: as many sequences as share its weights well, if their caches fit the options'
// memory and a step's activations kStepMemory. What options.engine.max_slots says does not count.
uint32_t default_batch(const Model& model, const BatcherOptions& options);

struct Submission {
  uint64_t id = 0;              // the caller's name for it, unique among the unfinished
  std::vector<int32_t> prompt;  // as Engine::start() takes it
  Request request;              // its sample index is that of the first sample
  uint32_t n_samples = 1;       // of one prompt, which is computed once
  // So many of its first tokens are those of the submission before it, too, and are computed once; 0: it stands alone.
  uint32_t n_shared = 0;
};

// One token of one sample, the scores of tokens of its prompt, or the end of a sample without a token; in order within
// a sample.
struct Event {
  uint64_t id = 0;
  uint32_t sample = 0;
  std::optional<int32_t> token;
  FinishReason finish = FinishReason::running;  // running, or why this was the sample's last event
  float logprob = 0;                            // of the token, where the request wants log-probabilities
  std::span<const TokenLogprob> top;            // valid until the next step
  std::span<const TokenScore> scores;           // of the prompt's tokens; valid until the next step
  std::span<const TokenLogprob> score_top;      // of each of them as many as the request wants; the same
  uint32_t score_row = 0;                       // of the engine's step_logits(), from which the first was scored
  uint32_t n_cached = 0;                        // tokens of the prompt that were found computed
};

struct BatcherStats {
  uint64_t prompt_tokens = 0, cached_tokens = 0;  // of the prompts that started; cached: found computed
  uint64_t computed_rows = 0, generated_tokens = 0, steps = 0, preemptions = 0;
  uint64_t slot_steps = 0, busy_slot_steps = 0;   // of the steps during which requests waited: slots, and those in use
  uint64_t proposed = 0, accepted = 0;            // draft tokens
  uint64_t pool_bytes = 0, pool_blocks = 0;
  double seconds = 0;                             // in steps
};

class Batcher {
 public:
  // `model` outlives the batcher.
  Batcher(const Model& model, const BatcherOptions& options);
  ~Batcher();

  // Adds a request to the queue, at any time between steps. Requires 1 .. n_ctx tokens and an id of its own.
  void submit(Submission submission);
  // Schedules and computes one step and returns what happened, valid until the next call. Empty only if nothing is
  // runnable, or a prompt is still being computed.
  std::span<const Event> step();
  // Ends a sample, or all of a request's: a stop string was found, or the caller wants no more.
  void cancel(uint64_t id, uint32_t sample);
  void cancel(uint64_t id);
  // Computes nothing more of a request until resume(). Its samples keep what they have while no other wants their place
  // or blocks, and what they give is the same.
  void pause(uint64_t id);
  void resume(uint64_t id);

  size_t unfinished() const noexcept { return samples_.size(); }  // samples that wait or run
  size_t runnable() const noexcept { return samples_.size() - scheduler_.paused(); }
  const BatcherStats& stats() const noexcept { return stats_; }
  const Engine& engine() const noexcept { return engine_; }
  Engine& engine() noexcept { return engine_; }
  // Returns nullptr without speculation.
  const SpeculationStats* speculation_stats() const noexcept { return speculation_ ? &speculation_->stats() : nullptr; }

 private:
  // What was submitted.
  struct Job {
    uint64_t id = 0;
    uint32_t n_unfinished = 0;
    uint32_t n_logprobs = 0, n_cached = 0;
    bool has_started = false;
    std::vector<SequenceId> samples;  // 0: ended
  };
  // One sample of it, whose text waits here or is in the engine's batch.
  struct Sample {
    Job* job = nullptr;
    uint32_t index = 0;
    std::optional<Sequence> waiting;
    SlotId slot = 0;
  };

  std::span<const PlannedRows> schedule();
  void admit(SequenceId id, SequenceId from);
  void preempt(SequenceId id);
  void prepare(std::span<const PlannedRows> plan);
  void observe(std::span<const StepResult> results, double seconds);
  void report(SequenceId id, const StepResult& result);
  void update(SequenceId id);
  void finish(SequenceId id);
  uint32_t prompt_rows() const;
  void measure(double seconds);
  [[noreturn]] void fail_stuck() const;

  const Model& model_;
  Engine engine_;
  std::optional<Speculation> speculation_;
  Scheduler scheduler_;
  std::unordered_map<uint64_t, Job> jobs_;
  std::unordered_map<SequenceId, Sample> samples_;
  SequenceId next_id_ = 1;
  uint64_t group_ = 0;  // of the last submission
  // Of the running step.
  std::vector<SequenceId> ids_;  // by part
  std::vector<StepRows> rows_;
  std::vector<SpeculatedSequence> speculated_;
  std::vector<size_t> speculated_parts_;
  std::vector<uint32_t> n_tokens_;
  uint32_t n_decoded_ = 0, n_prompt_rows_ = 0;
  std::vector<Event> events_;
  std::vector<TokenLogprob> top_;  // of all events, n_logprobs each
  double step_seconds_ = 0, row_seconds_ = 0;  // running means: a step without prompts, a row of a prompt beside one
  BatcherStats stats_;
};

}  // namespace gpt2
