#include "src/engine/batcher.h"

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/memory_limit.h"

namespace gpt2 {
namespace {

constexpr uint32_t kDefaultBatch = 32;
// Prompts may make a step this much longer than the running sequences alone: their gaps stay below 3 times the usual with room for what
// varies, and a prompt takes about 1 + 1 / 1.35 times what it takes alone.
constexpr double kPromptShare = 1.35;
constexpr uint32_t kFirstPromptRows = 32, kLeastPromptRows = 8;
// Weights of a measurement in the running means; a prompt's rows cost more the further it is.
constexpr double kNewestStep = 0.1, kNewestRow = 0.3;

size_t blocks_of_context(const Config& config) { return (config.n_ctx + kBlockPositions - 1) / kBlockPositions; }

uint64_t usable_memory(uint64_t kv_memory) { return kv_memory > 0 ? kv_memory : available_memory() / 2; }

EngineOptions with_pool(const Model& model, const BatcherOptions& options) {
  EngineOptions engine = options.engine;
  engine.max_draft = options.speculation.wanted() ? options.speculation.max_draft : 0;
  if (engine.kv_blocks > 0) return engine;
  const size_t block = KvLayout(model.config(), engine.kv_type).block_bytes(), context = blocks_of_context(model.config());
  const size_t most = context * (2 * size_t{engine.max_slots} + 1);
  const size_t affordable = static_cast<size_t>(usable_memory(options.kv_memory) / block);
  engine.kv_blocks = std::clamp(affordable, context + 1, options.kv_memory > 0 ? std::max(affordable, context + 1) : most);
  return engine;
}

SchedulerLimits limits_of(const Engine& engine) {
  SchedulerLimits limits;
  limits.max_running = engine.options().max_slots;
  limits.max_rows = std::min(engine.options().prefill_chunk, engine.model().config().n_ctx) +
                    engine.options().max_slots * (1 + engine.options().max_draft);
  limits.block_positions = kBlockPositions;
  return limits;
}

}  // namespace

uint32_t default_batch(const Model& model, KvType kv_type, uint64_t kv_memory) {
  const size_t block = KvLayout(model.config(), kv_type).block_bytes(), context = blocks_of_context(model.config());
  const uint64_t contexts = usable_memory(kv_memory) / (block * context);
  return static_cast<uint32_t>(std::clamp<uint64_t>(contexts, 1, kDefaultBatch));
}

Batcher::Batcher(const Model& model, const BatcherOptions& options)
    : model_(model), engine_(model, with_pool(model, options)), scheduler_(limits_of(engine_)) {
  if (options.speculation.wanted()) {
    const EngineOptions& engine = engine_.options();
    speculation_.emplace(model, options.speculation, *engine.kernels, engine_.team(), engine.max_slots);
    speculative_steps_.emplace(engine_, *speculation_);
  }
  by_slot_.resize(engine_.options().max_slots);
  stats_.pool_blocks = engine_.pool().max_blocks();
  stats_.pool_bytes = stats_.pool_blocks * engine_.pool().layout().block_bytes();
}

Batcher::~Batcher() = default;

void Batcher::submit(Submission submission) {
  GPT2_CHECK(!submission.prompt.empty() && submission.prompt.size() <= model_.config().n_ctx && submission.n_samples > 0);
  auto job = std::make_unique<Job>();
  job->n_waiting = job->n_unfinished = submission.n_samples;
  const uint64_t id = submission.id;
  const auto n_tokens = static_cast<uint32_t>(submission.prompt.size());
  job->submission = std::move(submission);
  for (uint32_t i = 0; i < job->submission.n_samples; ++i) {
    const SequenceId sequence = next_sequence_++;
    Sequence& added = sequences_[sequence];
    added.job = job.get();
    added.sample = i;
    if (i == 0) {
      scheduler_.add(sequence, n_tokens);
    } else {
      scheduler_.add_behind(sequence, n_tokens, job->sequences[0]);
    }
    job->sequences.push_back(sequence);
  }
  n_unfinished_ += job->submission.n_samples;
  const bool added = jobs_.emplace(id, std::move(job)).second;
  GPT2_CHECK(added);
}

uint32_t Batcher::free_blocks() {
  const size_t free = engine_.pool().free_blocks();
  const size_t all = free > reserved_ + kBlockPositions ? free : engine_.free_blocks();
  return static_cast<uint32_t>(all > reserved_ ? all - reserved_ : 0);
}

uint32_t Batcher::blocks_for(SequenceId id, uint32_t n_positions) {
  const Sequence& sequence = sequences_.at(id);
  const uint32_t n = std::min(n_positions, model_.config().n_ctx);
  if (sequence.slot) return static_cast<uint32_t>(engine_.slot_blocks_to_extend(*sequence.slot, n));
  if (sequence.prefix) return static_cast<uint32_t>(sequence.prefix->blocks_to_compute(n));
  if (sequence.job->prompt && !sequence.suspended) return 2;  // it shares the prompt's, copies the last and begins another
  return static_cast<uint32_t>((n + kBlockPositions - 1) / kBlockPositions);
}

void Batcher::take(SequenceId id, uint32_t n_positions) {
  reserved_ += blocks_for(id, n_positions);
  engine_.reserve_blocks(reserved_);
}

uint32_t Batcher::admit(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  Job& job = *sequence.job;
  if (sequence.suspended) {
    sequence.prefix = engine_.start(sequence.suspended->window);
    return sequence.prefix->n_computed();
  }
  --job.n_waiting;
  if (job.prompt) {
    Prefix prompt = job.n_waiting > 0 ? job.prompt->fork() : std::move(*job.prompt);
    if (job.n_waiting == 0) job.prompt.reset();
    const uint32_t n = prompt.n_computed();
    begin_slot(id, sequence, std::move(prompt));
    return n;
  }
  TokenWindow window;
  window.text = job.submission.prompt;
  sequence.prefix = engine_.start(std::move(window));
  job.n_cached = sequence.prefix->n_cached();
  stats_.prompt_tokens += sequence.prefix->n_tokens();
  stats_.cached_tokens += sequence.prefix->n_cached();
  return sequence.prefix->n_computed();
}

void Batcher::give_back(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  if (sequence.slot) {
    sequence.suspended = engine_.suspend(*sequence.slot);
    by_slot_[*sequence.slot] = 0;
    sequence.slot.reset();
    ++stats_.preemptions;
  } else if (sequence.prefix && !sequence.suspended) {
    ++sequence.job->n_waiting;
  }
  sequence.prefix.reset();
}

// The prompt is computed: the sample runs.
void Batcher::begin_slot(SequenceId id, Sequence& sequence, Prefix prefix) {
  Request request = sequence.job->submission.request;
  request.sample += sequence.sample;
  uint32_t n_generated = 0;
  if (sequence.suspended) {
    n_generated = sequence.suspended->n_generated;
    sequence.suspended.reset();
  }
  sequence.slot = engine_.insert(std::move(prefix), request, n_generated);
  by_slot_[*sequence.slot] = id;
}

// What prompts may add to a step: all it holds while most slots are empty and enough wait to fill half of those (4,000 records of 1 to
// 4 tokens: 1.25 times as many a second).
uint32_t Batcher::prompt_rows() const {
  const size_t slots = engine_.options().max_slots, running = scheduler_.running();
  if (2 * running < slots && 2 * scheduler_.waiting() >= slots - running) return engine_.options().prefill_chunk;
  if (step_seconds_ == 0 || row_seconds_ == 0) return kFirstPromptRows;
  const double rows = kPromptShare * step_seconds_ / row_seconds_;
  const double most = engine_.options().prefill_chunk;
  return static_cast<uint32_t>(std::clamp(rows, std::min(most, double{kLeastPromptRows}), most));
}

void Batcher::measure(double seconds, uint32_t slot_rows, uint32_t prompt_rows) {
  const auto mix = [](double& mean, double value, double newest) { mean = mean == 0 ? value : (1 - newest) * mean + newest * value; };
  if (slot_rows > 0 && prompt_rows == 0) mix(step_seconds_, seconds, kNewestStep);
  if (slot_rows == 0 || prompt_rows == 0 || step_seconds_ == 0) return;
  mix(row_seconds_, std::max(0.0, seconds - step_seconds_) / prompt_rows, kNewestRow);
}

std::span<const Event> Batcher::step() {
  events_.clear();
  parts_.clear();
  part_ids_.clear();
  planned_.clear();
  reserved_ = 0;
  if (sequences_.empty()) return events_;
  const auto plan = scheduler_.plan(prompt_rows(), *this);
  const size_t waiting = scheduler_.waiting(), running = scheduler_.running();
  uint32_t slot_rows = 0, n_prompt_rows = 0;
  for (const SchedulerPart& part : plan) {
    Sequence& sequence = sequences_.at(part.id);
    planned_.push_back(part.id);
    if (sequence.slot) {
      slot_rows += part.n_rows;
      continue;
    }
    parts_.push_back({&*sequence.prefix, part.n_rows});
    part_ids_.push_back(part.id);
    n_prompt_rows += part.n_rows;
  }
  // Without a part there is no block for a slot's next position.
  for (SlotId slot = 0; slot < by_slot_.size(); ++slot) {
    const SequenceId id = by_slot_[slot];
    if (id != 0 && std::find(planned_.begin(), planned_.end(), id) == planned_.end()) engine_.hold(slot);
  }
  if (speculative_steps_) speculative_steps_->propose(engine_.free_blocks() - std::min(engine_.free_blocks(), reserved_));
  const double start = now_seconds();
  const auto results = engine_.generate(parts_);
  const double seconds = now_seconds() - start;
  measure(seconds, slot_rows, n_prompt_rows);
  if (speculative_steps_) speculative_steps_->observe(results, seconds, n_prompt_rows);
  stats_.seconds += seconds;
  ++stats_.steps;
  stats_.computed_rows += slot_rows + n_prompt_rows;
  if (waiting > 0) {
    stats_.slot_steps += engine_.options().max_slots;
    stats_.busy_slot_steps += running;
  }
  top_.clear();
  for (const StepResult& result : results) report(result, by_slot_[result.slot]);
  size_t at = 0;
  for (Event& event : events_) {
    event.top = std::span(top_).subspan(at, event.top.size());
    at += event.top.size();
  }
  for (const SequenceId id : part_ids_) {
    Sequence& sequence = sequences_.at(id);
    Prefix& prefix = *sequence.prefix;
    const uint32_t n = prefix.n_computed();
    scheduler_.update(id, prefix.n_tokens(), n);
    if (!prefix.complete()) continue;
    Job& job = *sequence.job;
    if (job.n_waiting > 0 && !job.prompt && !sequence.suspended) job.prompt = prefix.fork();
    Prefix whole = std::move(prefix);
    sequence.prefix.reset();
    if (sequence.muted) {
      finish(id);
    } else {
      begin_slot(id, sequence, std::move(whole));
    }
  }
  return events_;
}

void Batcher::report(const StepResult& result, SequenceId id) {
  const Sequence& sequence = sequences_.at(id);
  Event event;
  event.id = sequence.job->submission.id;
  event.sample = sequence.sample;
  event.n_cached = sequence.job->n_cached;
  const uint32_t n_logprobs = sequence.job->submission.request.n_logprobs;
  for (size_t i = 0; i < result.tokens.size(); ++i) {
    event.token = result.tokens[i];
    event.finish = i + 1 == result.tokens.size() ? result.finish : FinishReason::running;
    if (n_logprobs > 0) {
      event.logprob = result.chosen[i].logprob;
      const size_t n = result.top.size() / result.tokens.size();
      top_.insert(top_.end(), result.top.begin() + static_cast<std::ptrdiff_t>(i * n), result.top.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
      event.top = {top_.data(), n};  // its place is known at the end of the step
    }
    events_.push_back(event);
  }
  // The context ended after the step's token: its event says so.
  if (result.tokens.empty()) {
    event.finish = result.finish;
    if (result.finish != FinishReason::running) events_.push_back(event);
  }
  stats_.generated_tokens += result.tokens.size();
  stats_.proposed += result.n_proposed;
  stats_.accepted += result.n_accepted;
  if (result.finish != FinishReason::running) return finish(id);
  scheduler_.update(id, engine_.slot_window(result.slot).size(), engine_.slot_length(result.slot));
}

// The sample has ended: its slot, its place in the queue and, with the last one, its job are gone.
void Batcher::finish(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  Job& job = *sequence.job;
  if (sequence.slot) {
    by_slot_[*sequence.slot] = 0;
    engine_.release(*sequence.slot);
  }
  scheduler_.remove(id);
  if (!sequence.muted) --n_unfinished_;
  const uint64_t job_id = job.submission.id;
  job.sequences[sequence.sample] = 0;
  const bool last = --job.n_unfinished == 0;
  sequences_.erase(id);
  if (last) jobs_.erase(job_id);
}

void Batcher::drop(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  Job& job = *sequence.job;
  const bool started = sequence.slot || sequence.prefix || sequence.suspended;
  // The first sample computes the prompt for all others.
  if (sequence.sample == 0 && !job.prompt && !sequence.slot && job.n_waiting > (started ? 0u : 1u)) {
    if (!sequence.muted) --n_unfinished_;
    sequence.muted = true;
    return;
  }
  if (!started) --job.n_waiting;
  if (job.n_waiting == 0) job.prompt.reset();
  sequence.prefix.reset();
  finish(id);
}

void Batcher::cancel(uint64_t id, uint32_t sample) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || sample >= job->second->sequences.size() || job->second->sequences[sample] == 0) return;
  drop(job->second->sequences[sample]);
}

void Batcher::cancel(uint64_t id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  // The first sample last: nobody waits for it then.
  const std::vector<SequenceId> all = job->second->sequences;
  for (auto sequence = all.rbegin(); sequence != all.rend(); ++sequence) {
    if (*sequence != 0) drop(*sequence);
  }
}

const BatcherStats& Batcher::stats() { return stats_; }

}  // namespace gpt2
