#include "src/measure/batch_benchmark.h"

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/statistics.h"
#include "src/measure/probe.h"

namespace gpt2 {
namespace {

constexpr uint32_t kLeastPrompt = 16, kMostPrompt = 64, kLeastNew = 8, kMostNew = 256;
constexpr uint32_t kWarmSteps = 64, kCalmSteps = 128;  // before the long prompt: to learn costs, to measure gaps
constexpr uint64_t kLongPrompt = ~uint64_t{0};

// A hash's bits as whole numbers of a range: the same prompts in every run.
class Draws {
 public:
  uint32_t between(uint32_t least, uint32_t most) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return least + static_cast<uint32_t>((state_ >> 32) % (most - least + 1));
  }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15u;
};

}  // namespace

BatchBenchmark::BatchBenchmark(const Model& model, const BatchBenchOptions& options)
    : model_(model), options_(options) {
  GPT2_CHECK(options.long_prompt + 64 <= model.config().n_ctx && options.engine.max_slots > 1 &&
             options.repetitions > 0);
  Draws draws;
  const uint32_t most_new = std::min(kMostNew, model.config().n_ctx - kMostPrompt);
  for (uint32_t i = 0; i < options.prompts; ++i) {
    const uint32_t n_tokens = draws.between(kLeastPrompt, kMostPrompt);
    prompts_.push_back(prompt(i, n_tokens, draws.between(std::min(kLeastNew, most_new), most_new)));
  }
}

// Tokens that no other prompt begins with.
Submission BatchBenchmark::prompt(uint64_t id, uint32_t n_tokens, uint32_t n_new) const {
  Submission submission;
  submission.id = id;
  for (uint32_t i = 0; i < n_tokens; ++i) {
    submission.prompt.push_back(static_cast<int32_t>((id * 104729 + i * 7919 + 1) % model_.config().n_vocab));
  }
  submission.request.sampling.greedy = true;
  submission.request.ignore_eos = true;
  submission.request.max_new_tokens = n_new;
  return submission;
}

Batcher BatchBenchmark::batcher() const {
  BatcherOptions options;
  options.engine = options_.engine;
  return Batcher(model_, options);
}

BatchBenchmark::Throughput BatchBenchmark::continuous() const {
  Batcher all = batcher();
  const double start = now_seconds();
  for (const Submission& submission : prompts_) all.submit(submission);
  while (all.unfinished() > 0) all.step();
  const BatcherStats& stats = all.stats();
  return {static_cast<double>(stats.generated_tokens) / (now_seconds() - start),
          static_cast<double>(stats.busy_slot_steps) / static_cast<double>(std::max<uint64_t>(stats.slot_steps, 1))};
}

// Refilled when all sequences of the batch have ended; those that end earlier leave it.
BatchBenchmark::Throughput BatchBenchmark::fixed() const {
  Batcher one = batcher();
  const double start = now_seconds();
  for (size_t begin = 0; begin < prompts_.size(); begin += options_.engine.max_slots) {
    const size_t end = std::min<size_t>(begin + options_.engine.max_slots, prompts_.size());
    for (size_t i = begin; i < end; ++i) one.submit(prompts_[i]);
    while (one.unfinished() > 0) one.step();
  }
  return {static_cast<double>(one.stats().generated_tokens) / (now_seconds() - start), 0};
}

// As many blocks as the scene below takes are used once: memory that the system hands out meanwhile makes gaps of its
// own.
void BatchBenchmark::touch_blocks(Batcher& batcher) const {
  const uint32_t n_ctx = model_.config().n_ctx, positions = kLeastPrompt + kWarmSteps + 2 * kCalmSteps;
  const uint32_t needed = options_.engine.max_slots * positions + options_.long_prompt, each = n_ctx - 64;
  for (uint32_t i = 0; i <= needed / each && i < options_.engine.max_slots; ++i) batcher.submit(prompt(i, each, 64));
  while (batcher.unfinished() > 0) batcher.step();
}

void BatchBenchmark::long_prompt_beside(BatchBenchResult& result, std::vector<double>& alone,
                                        std::vector<double>& beside) const {
  const auto seconds_of_prompt = [&](Batcher& batcher, std::vector<double>* gaps) {
    batcher.submit(prompt(kLongPrompt, options_.long_prompt, 1));
    const double start = now_seconds();
    for (double last = start;;) {
      bool done = false;
      for (const Event& event : batcher.step()) done = done || event.id == kLongPrompt;
      const double now = now_seconds();
      if (gaps != nullptr) gaps->push_back(now - last);
      last = now;
      if (done) return now - start;
    }
  };
  {
    Batcher one = batcher();
    result.prompt_alone = seconds_of_prompt(one, nullptr);
  }
  Batcher many = batcher();
  touch_blocks(many);
  const uint32_t endless = model_.config().n_ctx - kLeastPrompt;
  for (uint32_t i = 0; i + 1 < options_.engine.max_slots; ++i) many.submit(prompt(i, kLeastPrompt, endless));
  for (uint32_t i = 0; i < kWarmSteps; ++i) many.step();
  for (uint32_t i = 0; i < kCalmSteps; ++i) {
    const double start = now_seconds();
    many.step();
    alone.push_back(now_seconds() - start);
  }
  result.prompt_beside = seconds_of_prompt(many, &beside);
}

BatchBenchResult BatchBenchmark::run(const std::function<void(size_t done, size_t of)>& after) {
  std::vector<double> continuous_rates, fixed_rates, gains, busy, calm_gaps, gaps, alone, beside;
  const size_t runs = size_t{3} * options_.repetitions;
  size_t done = 0;
  for (uint32_t i = 0; i < options_.repetitions; ++i) {
    // The order changes from turn to turn, so that a machine that slows down slows both.
    Throughput fixed_run;
    if (i % 2 == 1) fixed_run = fixed();
    const Throughput continuous_run = continuous();
    after(++done, runs);
    if (i % 2 == 0) fixed_run = fixed();
    after(++done, runs);
    continuous_rates.push_back(continuous_run.rate);
    fixed_rates.push_back(fixed_run.rate);
    gains.push_back(continuous_run.rate / fixed_run.rate);
    busy.push_back(continuous_run.busy);
    BatchBenchResult once;
    long_prompt_beside(once, calm_gaps, gaps);
    alone.push_back(once.prompt_alone);
    beside.push_back(once.prompt_beside);
    after(++done, runs);
  }
  BatchBenchResult result;
  result.continuous_rate = quantile(continuous_rates, 0.5);
  result.fixed_rate = quantile(fixed_rates, 0.5);
  result.gain = quantile(gains, 0.5);
  result.busy = quantile(busy, 0.5);
  result.median_gap = quantile(calm_gaps, 0.5);
  result.calm_p99_gap = quantile(calm_gaps, 0.99);
  result.p99_gap = quantile(gaps, 0.99);
  result.prompt_alone = quantile(alone, 0.5);
  result.prompt_beside = quantile(beside, 0.5);
  return result;
}

}  // namespace gpt2
