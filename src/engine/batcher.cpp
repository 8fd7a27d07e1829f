#include "src/engine/batcher.h"

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/memory_limit.h"

namespace gpt2 {
namespace {

constexpr uint32_t kDefaultBatch = 32;
// Prompts may make a step this much longer than the running sequences alone: their gaps stay below 3 times the usual
// with room for what varies, and a prompt takes about 1 + 1 / 1.35 times what it takes alone.
constexpr double kPromptShare = 1.35;
constexpr uint32_t kFirstPromptRows = 32, kLeastPromptRows = 8;
// Weights of a measurement in the running means; a prompt's rows cost more the further it is.
constexpr double kNewestStep = 0.1, kNewestRow = 0.3;

uint64_t usable_memory(uint64_t kv_memory) { return kv_memory > 0 ? kv_memory : available_memory() / 2; }

EngineOptions with_pool(const Model& model, const BatcherOptions& options) {
  EngineOptions engine = options.engine;
  engine.max_draft = options.speculation.wanted() ? options.speculation.max_draft : 0;
  if (engine.kv_blocks > 0) return engine;
  const size_t block = KvLayout(model.config(), engine.kv_type).block_bytes(),
               context = blocks_of(model.config().n_ctx);
  const size_t most = context * (2 * size_t{engine.max_slots} + 1);
  const size_t affordable = static_cast<size_t>(usable_memory(options.kv_memory) / block);
  engine.kv_blocks =
      std::clamp(affordable, context + 1, options.kv_memory > 0 ? std::max(affordable, context + 1) : most);
  return engine;
}

// By rejection a text depends on what was proposed, which therefore must not depend on blocks.
SchedulerLimits limits_of(const Engine& engine, const SpeculationOptions& speculation) {
  const StepLimits limits = engine.limits();
  return {limits.sequences, limits.prompt_rows, kBlockPositions, speculation.verification == Verification::rejection};
}

}  // namespace

uint32_t default_batch(const Model& model, const BatcherOptions& options) {
  const size_t block = KvLayout(model.config(), options.engine.kv_type).block_bytes(),
               context = blocks_of(model.config().n_ctx);
  const uint64_t contexts = usable_memory(options.kv_memory) / (block * context);
  const uint32_t rows = 1 + (options.speculation.wanted() ? options.speculation.max_draft : 0);
  const uint64_t steps = affordable_outputs(model.config(), kDefaultBatch * rows) / rows;
  return static_cast<uint32_t>(std::clamp<uint64_t>(std::min(contexts, steps), 1, kDefaultBatch));
}

Batcher::Batcher(const Model& model, const BatcherOptions& options)
    : model_(model), engine_(model, with_pool(model, options)), scheduler_(limits_of(engine_, options.speculation)) {
  const EngineOptions& engine = engine_.options();
  if (options.speculation.wanted())
    speculation_.emplace(model, options.speculation, *engine.kernels, engine_.team(), engine.max_slots);
  speculated_parts_.reserve(engine.max_slots);
  ids_.reserve(engine.max_slots);
  rows_.reserve(engine.max_slots);
  speculated_.reserve(engine.max_slots);
  n_tokens_.reserve(engine.max_slots);
  stats_.pool_blocks = engine_.pool().max_blocks();
  stats_.pool_bytes = stats_.pool_blocks * engine_.pool().layout().block_bytes();
}

Batcher::~Batcher() = default;

void Batcher::submit(Submission submission) {
  GPT2_CHECK(submission.n_samples > 0);
  const auto [at, added] = jobs_.emplace(submission.id, Job{});
  GPT2_CHECK(added);
  Job& job = at->second;
  job.id = submission.id;
  job.n_unfinished = submission.n_samples;
  job.n_logprobs = submission.request.n_logprobs;
  if (submission.n_shared == 0) group_ = next_id_;
  const auto n_tokens = static_cast<uint32_t>(submission.prompt.size());
  const uint32_t n_shared = submission.n_shared > 0 ? submission.n_shared : n_tokens;
  for (uint32_t i = 0; i < submission.n_samples; ++i) {
    const SequenceId id = next_id_++;
    const Sequence& text =
        *samples_.emplace(id, Sample{&job, i, engine_.start(submission.prompt, submission.request), 0})
             .first->second.waiting;
    scheduler_.add(id, text.n_rows(), group_, n_shared);
    job.samples.push_back(id);
    ++submission.request.sample;
  }
}

// What prompts may add to a step: all it holds while most slots are empty and enough wait to fill half of those (4,000
// records of 1 to 4 tokens: 1.25 times as many a second).
uint32_t Batcher::prompt_rows() const {
  const size_t slots = engine_.options().max_slots, running = scheduler_.running();
  if (2 * running < slots && 2 * scheduler_.waiting() >= slots - running) return engine_.options().prefill_chunk;
  if (step_seconds_ == 0 || row_seconds_ == 0) return kFirstPromptRows;
  const double rows = kPromptShare * step_seconds_ / row_seconds_;
  const double most = engine_.options().prefill_chunk;
  return static_cast<uint32_t>(std::clamp(rows, std::min(most, double{kLeastPromptRows}), most));
}

void Batcher::measure(double seconds) {
  const auto mix = [](double& mean, double value, double newest) {
    mean = mean == 0 ? value : (1 - newest) * mean + newest * value;
  };
  if (n_decoded_ > 0 && n_prompt_rows_ == 0) mix(step_seconds_, seconds, kNewestStep);
  if (n_decoded_ == 0 || n_prompt_rows_ == 0 || step_seconds_ == 0) return;
  mix(row_seconds_, std::max(0.0, seconds - step_seconds_) / n_prompt_rows_, kNewestRow);
}

std::span<const Event> Batcher::step() {
  events_.clear();
  top_.clear();
  if (runnable() == 0) return events_;
  prepare(schedule());
  const size_t waiting = scheduler_.waiting(), running = scheduler_.running();
  const double start = now_seconds();
  const std::span<const StepResult> results = engine_.generate(rows_);
  const double seconds = now_seconds() - start;
  observe(results, seconds);
  if (waiting > 0) {
    stats_.slot_steps += engine_.options().max_slots;
    stats_.busy_slot_steps += running;
  }
  for (size_t i = 0; i < results.size(); ++i) report(ids_[i], results[i]);
  size_t at = 0;
  for (Event& event : events_) {
    event.top = std::span(top_).subspan(at, event.top.size());
    at += event.top.size();
  }
  return events_;
}

// Carries out what the scheduler decides until it decides which rows to compute.
std::span<const PlannedRows> Batcher::schedule() {
  const uint32_t rows = prompt_rows();
  for (;;) {
    const Decision decision = scheduler_.decide(rows, engine_.available_blocks());
    switch (decision.kind) {
      case Decision::Kind::preempt: preempt(decision.id); break;
      case Decision::Kind::admit: admit(decision.id, decision.from); break;
      case Decision::Kind::compute:
        if (decision.rows.empty()) fail_stuck();
        return decision.rows;
    }
  }
}

void Batcher::admit(SequenceId id, SequenceId from) {
  Sample& sample = samples_.at(id);
  Sequence text = std::move(*sample.waiting);
  sample.waiting.reset();
  sample.slot = from > 0 ? engine_.fork(samples_.at(from).slot, std::move(text)) : engine_.insert(std::move(text));
  Job& job = *sample.job;
  if (!std::exchange(job.has_started, true)) {
    job.n_cached = engine_.sequence(sample.slot).n_computed();
    stats_.prompt_tokens += engine_.sequence(sample.slot).n_prompt;
    stats_.cached_tokens += job.n_cached;
  }
  update(id);
}

void Batcher::preempt(SequenceId id) {
  Sample& sample = samples_.at(id);
  sample.waiting = engine_.remove(sample.slot);
  sample.waiting->kv.truncate(0);
  ++stats_.preemptions;
}

void Batcher::update(SequenceId id) {
  const SlotId slot = samples_.at(id).slot;
  const Sequence& text = engine_.sequence(slot);
  scheduler_.update(id,
                    {text.n_rows(), text.n_computed(), speculation_ ? engine_.draft_room(slot) : 0, text.dropped > 0,
                     text.request.only_scores()});
}

// The plan as rows of the engine's batch, with what is proposed to follow.
void Batcher::prepare(std::span<const PlannedRows> plan) {
  ids_.clear();
  rows_.clear();
  speculated_.clear();
  speculated_parts_.clear();
  n_decoded_ = n_prompt_rows_ = 0;
  for (const PlannedRows& part : plan) {
    const SlotId slot = samples_.at(part.id).slot;
    const Sequence& text = engine_.sequence(slot);
    const bool decodes = text.n_rows() == text.n_computed() + 1 && !text.request.only_scores();
    (decodes ? n_decoded_ : n_prompt_rows_) += part.n_rows;
    if (decodes && speculation_) {
      speculated_.push_back({slot, &text, part.n_draft});
      speculated_parts_.push_back(rows_.size());
    }
    ids_.push_back(part.id);
    rows_.push_back({slot, part.n_rows, {}});
  }
  if (!speculation_) return;
  speculation_->propose(speculated_);
  for (size_t i = 0; i < speculated_.size(); ++i) rows_[speculated_parts_[i]].draft = speculation_->draft(i);
}

void Batcher::observe(std::span<const StepResult> results, double seconds) {
  measure(seconds);
  stats_.seconds += seconds;
  ++stats_.steps;
  stats_.computed_rows += n_decoded_ + n_prompt_rows_;
  if (!speculation_) return;
  n_tokens_.clear();
  for (const size_t part : speculated_parts_) n_tokens_.push_back(static_cast<uint32_t>(results[part].tokens.size()));
  speculation_->observe(n_tokens_, seconds, n_prompt_rows_);
}

void Batcher::report(SequenceId id, const StepResult& result) {
  const Sample& sample = samples_.at(id);
  Event event;
  event.id = sample.job->id;
  event.sample = sample.index;
  event.n_cached = sample.job->n_cached;
  if (!result.scores.empty()) {
    event.scores = result.scores;
    event.score_top = result.score_top;
    event.score_row = result.score_row;
    event.finish = result.tokens.empty() ? result.finish : FinishReason::running;
    events_.push_back(event);
    event.scores = {};
    event.score_top = {};
  }
  const size_t n_top = result.tokens.empty() ? 0 : result.top.size() / result.tokens.size();
  for (size_t i = 0; i < result.tokens.size(); ++i) {
    event.token = result.tokens[i];
    event.finish = i + 1 == result.tokens.size() ? result.finish : FinishReason::running;
    if (sample.job->n_logprobs > 0) {
      const auto top = result.top.subspan(i * n_top, n_top);
      event.logprob = result.chosen[i].logprob;
      top_.insert(top_.end(), top.begin(), top.end());
      event.top = top;  // its place in top_ is known at the end of the step
    }
    events_.push_back(event);
  }
  if (result.tokens.empty() && result.scores.empty() && result.finish != FinishReason::running) {
    event.finish = result.finish;
    events_.push_back(event);
  }
  stats_.generated_tokens += result.tokens.size();
  stats_.proposed += result.n_proposed;
  stats_.accepted += result.n_accepted;
  if (result.finish != FinishReason::running) return finish(id);
  update(id);
}

// Removes a sample that has ended or was cancelled from the batch or the queue, and with the last one its job.
void Batcher::finish(SequenceId id) {
  const auto found = samples_.find(id);
  const Sample& sample = found->second;
  Job& job = *sample.job;
  if (const auto heir = scheduler_.remove(id)) {
    Sample& next = samples_.at(*heir);
    engine_.replace(sample.slot, std::move(*next.waiting));
    next.waiting.reset();
    next.slot = sample.slot;
    update(*heir);
  } else if (!sample.waiting) {
    engine_.remove(sample.slot);
  }
  job.samples[sample.index] = 0;
  samples_.erase(found);
  if (--job.n_unfinished == 0) jobs_.erase(job.id);
}

void Batcher::cancel(uint64_t id, uint32_t sample) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || sample >= job->second.samples.size() || job->second.samples[sample] == 0) return;
  finish(job->second.samples[sample]);
}

void Batcher::cancel(uint64_t id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  // The last first, so that none begins that is not wanted either.
  const std::vector<SequenceId> all = job->second.samples;
  for (auto sample = all.rbegin(); sample != all.rend(); ++sample) {
    if (*sample != 0) finish(*sample);
  }
}

void Batcher::pause(uint64_t id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  for (const SequenceId sample : job->second.samples) {
    if (sample != 0) scheduler_.pause(sample);
  }
}

void Batcher::resume(uint64_t id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  for (const SequenceId sample : job->second.samples) {
    if (sample != 0) scheduler_.resume(sample);
  }
}

void Batcher::fail_stuck() const {
  const std::string state = "something moves; " + std::to_string(scheduler_.running()) + " run, " +
                            std::to_string(scheduler_.waiting()) + " wait, " +
                            std::to_string(engine_.available_blocks()) + " of " + std::to_string(stats_.pool_blocks) +
                            " blocks are free";
  detail::check_failed(state.c_str(), __FILE__, __LINE__);
}

}  // namespace gpt2
