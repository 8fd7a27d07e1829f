#include "src/measure/speculation_benchmark.h"

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/statistics.h"
#include "src/measure/probe.h"

namespace gpt2 {
namespace {

EngineOptions engine_options(const SpeculationBenchOptions& options) {
  EngineOptions engine = options.engine;
  engine.max_draft = options.speculation.max_draft;
  return engine;
}

SpeculationOptions sweeping(SpeculationOptions options) {
  options.policy = DraftPolicy::sweep;
  return options;
}

template <class Field>
double sum(const std::vector<PromptTiming>& prompts, Field field) {
  double all = 0;
  for (const PromptTiming& prompt : prompts) all += static_cast<double>(prompt.*field);
  return all;
}

}  // namespace

double SpeculationBenchResult::baseline_rate() const {
  return sum(prompts, &PromptTiming::tokens) / sum(prompts, &PromptTiming::baseline);
}

double SpeculationBenchResult::speculative_rate() const {
  return sum(prompts, &PromptTiming::tokens) / sum(prompts, &PromptTiming::speculative);
}

double SpeculationBenchResult::median_speedup() const {
  std::vector<double> ratios;
  for (const PromptTiming& prompt : prompts) ratios.push_back(prompt.baseline / prompt.speculative);
  return median(std::move(ratios));
}

double SpeculationBenchResult::total_speedup() const { return speculative_rate() / baseline_rate(); }

double SpeculationBenchResult::baseline_drift() const {
  std::array<double, 2> seconds{}, tokens{};
  for (size_t i = 0; i < prompts.size(); ++i) {
    const size_t half = i < prompts.size() / 2 ? 0 : 1;
    seconds[half] += prompts[i].baseline;
    tokens[half] += static_cast<double>(prompts[i].tokens);
  }
  return seconds[0] > 0 && tokens[1] > 0 ? seconds[1] / tokens[1] / (seconds[0] / tokens[0]) - 1 : 0;
}

size_t SpeculationBenchResult::n_different() const {
  return static_cast<size_t>(
      std::count_if(prompts.begin(), prompts.end(), [](const PromptTiming& p) { return !p.same; }));
}

SpeculationBenchResult::Allowed SpeculationBenchResult::allowed() const {
  Allowed best;
  for (uint32_t k = 1; k <= kMaxDraft; ++k) {
    if (relative_step[k + 1] == 0) continue;
    const double speedup = expected_speedup(agreement, k, draft_cost, relative_step[k + 1]);
    if (speedup > best.speedup) best = {k, speedup};
  }
  return best;
}

SpeculationBenchmark::SpeculationBenchmark(const Model& target, const SpeculationBenchOptions& options)
    : options_(options),
      engine_(target, engine_options(options)),
      speculation_(target, options.speculation, *options.engine.kernels, engine_.team(), 1),
      sweep_(target, sweeping(options.speculation), *options.engine.kernels, engine_.team(), 1) {
  GPT2_CHECK(options.engine.max_slots == 1 && options.repetitions > 0);
}

// The prompt's last token is computed outside of the time, and the token after it chosen.
SlotId SpeculationBenchmark::begin(const Sequence& prompt, bool& running) {
  Sequence text = engine_.start(prompt.tokens, prompt.request);
  text.kv = prompt.kv.fork(prompt.n_computed());
  const SlotId slot = engine_.insert(std::move(text));
  const StepResult step = engine_.generate().front();
  running = step.finish == FinishReason::running;
  tokens_.assign(step.tokens.begin(), step.tokens.end());
  return slot;
}

double SpeculationBenchmark::time_baseline(const Sequence& prompt) {
  bool running = true;
  const SlotId slot = begin(prompt, running);
  const double start = now_seconds();
  for (double before = start; running;) {
    const StepResult step = engine_.generate().front();
    const double now = now_seconds();
    plain_steps_.push_back(now - before);
    before = now;
    tokens_.insert(tokens_.end(), step.tokens.begin(), step.tokens.end());
    running = step.finish == FinishReason::running;
  }
  const double seconds = now_seconds() - start;
  engine_.remove(slot);
  return seconds;
}

double SpeculationBenchmark::time_speculation(const Sequence& prompt, Speculation& speculation) {
  steps_.clear();
  speculation.forget_texts();
  bool running = true;
  const SlotId slot = begin(prompt, running);
  const double start = now_seconds();
  while (running) {
    const double before = now_seconds();
    const SpeculatedSequence speculated = {slot, &engine_.sequence(slot), engine_.draft_room(slot)};
    speculation.propose({&speculated, 1});
    const StepRows rows = {slot, 1, speculation.draft(0)};
    const double drafted = now_seconds();
    const StepResult step = engine_.generate({&rows, 1}).front();
    const double verified = now_seconds();
    if (target_costs_ && &speculation == &speculation_) predict(speculation, 1 + step.n_proposed);
    const auto n_tokens = static_cast<uint32_t>(step.tokens.size());
    speculation.observe({&n_tokens, 1}, verified - drafted, 0);
    steps_.push_back({1 + step.n_proposed, static_cast<uint32_t>(speculation.draft_rows().size()), verified - drafted,
                      drafted - before});
    tokens_.insert(tokens_.end(), step.tokens.begin(), step.tokens.end());
    running = step.finish == FinishReason::running;
  }
  const double seconds = now_seconds() - start;
  engine_.remove(slot);
  return seconds;
}

void SpeculationBenchmark::keep_steps() {
  for (const Step& step : steps_) steps_by_rows_[step.rows].push_back(step.seconds);
}

void SpeculationBenchmark::fit() {
  draft_costs_ = speculation_.draft_costs();
  StepCosts& costs = target_costs_.emplace();
  costs.observe(1, median(plain_steps_));
  for (uint32_t rows = 2; rows < steps_by_rows_.size(); ++rows) {
    if (!steps_by_rows_[rows].empty()) costs.observe(rows, median(steps_by_rows_[rows]));
  }
}

// Adds what a step should take by the costs of the first half.
void SpeculationBenchmark::predict(const Speculation& speculation, uint32_t rows) {
  result_.predicted_seconds += target_costs_->of(rows);
  for (const uint32_t draft_rows : speculation.draft_rows()) {
    if (draft_costs_->known()) result_.predicted_seconds += draft_costs_->of(draft_rows);
  }
}

bool SpeculationBenchmark::compare() {
  if (first_tokens_.empty()) first_tokens_ = tokens_;
  return tokens_ == first_tokens_;
}

void SpeculationBenchmark::time_prompt(const Sequence& prompt, size_t index, PromptTiming& timing) {
  std::vector<double> baseline, speculative;
  first_tokens_.clear();
  for (uint32_t i = 0; i < 2 * options_.repetitions; ++i) {
    if ((i + index) % 2 == 0) {
      baseline.push_back(time_baseline(prompt));
      timing.tokens = tokens_.size();
    } else {
      speculative.push_back(time_speculation(prompt, speculation_));
      if (target_costs_) result_.measured_seconds += speculative.back();
      keep_steps();
    }
    timing.same &= compare();
  }
  timing.baseline = median(std::move(baseline));
  timing.speculative = median(std::move(speculative));
  time_speculation(prompt, sweep_);
  timing.same &= compare();
  keep_steps();
  for (size_t i = 2; i < steps_.size(); ++i) {  // the draft has read the prompt by then
    if (steps_[i].drafted > 0) draft_tokens_.push_back(steps_[i].draft_seconds / steps_[i].drafted);
  }
}

SpeculationBenchResult SpeculationBenchmark::run(std::span<const std::vector<int32_t>> prompts,
                                                 const std::function<void(size_t done)>& after) {
  result_ = {};
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (i > 0 && i == prompts.size() / 2) fit();
    const Sequence prompt = engine_.prefill(engine_.start(prompts[i], options_.request));
    if (i == 0) {  // not timed: weights that are mapped and not yet read
      time_baseline(prompt);
      time_speculation(prompt, sweep_);
      plain_steps_.clear();
    }
    time_prompt(prompt, i, result_.prompts.emplace_back());
    after(i + 1);
  }
  summarise();
  return std::move(result_);
}

void SpeculationBenchmark::summarise() {
  result_.stats = speculation_.stats();
  const SpeculationStats& all = sweep_.stats();
  double proposed = 0, accepted = 0;
  for (uint32_t at = 0; at < kMaxDraft; ++at) {
    proposed += static_cast<double>(all.proposed_at[at]);
    accepted += static_cast<double>(all.accepted_at[at]);
  }
  result_.agreement = proposed > 0 ? accepted / proposed : 0;
  result_.plain_step = median(plain_steps_);
  if (result_.plain_step == 0) return;
  result_.draft_cost = median(draft_tokens_) / result_.plain_step;
  for (uint32_t rows = 1; rows < result_.relative_step.size(); ++rows) {
    result_.relative_step[rows] = rows == 1 ? 1 : median(steps_by_rows_[rows]) / result_.plain_step;
  }
}

}  // namespace gpt2
