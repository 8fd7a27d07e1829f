// Many requests together give what each gives alone: any arrival, any number of slots, blocks too few, prefixes shared.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "src/engine/batcher.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

using Outputs = std::map<std::pair<uint64_t, uint32_t>, std::vector<int32_t>>;

BatcherOptions options(uint32_t slots, uint32_t chunk = 64, size_t blocks = 0, bool cache = true) {
  BatcherOptions options;
  options.engine.kernels = runnable_kernels().tables[0];
  options.engine.threads = 2;
  options.engine.max_slots = slots;
  options.engine.prefill_chunk = chunk;
  options.engine.kv_blocks = blocks;
  options.engine.prefix_cache = cache;
  return options;
}

void collect(std::span<const Event> events, Outputs& outputs, size_t& ended) {
  for (const Event& event : events) {
    if (event.token) outputs[{event.id, event.sample}].push_back(*event.token);
    ended += event.finish != FinishReason::running ? 1 : 0;
  }
}

std::vector<int32_t> tokens_of(size_t n, uint64_t seed) {
  Numbers numbers(seed);
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % 4095));
  return tokens;
}

// Prompts of 1 .. 200 tokens, every third with a long beginning in common, greedy and drawn, with and without a penalty.
std::vector<Submission> records(size_t n) {
  std::vector<Submission> all;
  const std::vector<int32_t> common = tokens_of(140, 999);
  Numbers numbers(n);
  for (size_t i = 0; i < n; ++i) {
    Submission record;
    record.id = i;
    record.prompt = i % 3 == 0 ? common : std::vector<int32_t>();
    const std::vector<int32_t> own = tokens_of(1 + numbers.bits() % 60, i);
    record.prompt.insert(record.prompt.end(), own.begin(), own.end());
    record.request.seed = 1000 + i;
    record.request.max_new_tokens = static_cast<uint32_t>(1 + numbers.bits() % 30);
    record.request.ignore_eos = true;
    record.request.sampling.greedy = i % 2 == 0;
    record.request.sampling.top_p = 0.95f;
    if (i % 4 == 0) record.request.sampling.repetition_penalty = 1.2f;
    all.push_back(record);
  }
  return all;
}

Outputs alone(const std::vector<Submission>& records) {
  Outputs outputs;
  for (const Submission& record : records) {
    Batcher batcher(books(), options(1, 256, 0, false));
    batcher.submit(record);
    for (size_t ended = 0; ended < record.n_samples;) collect(batcher.step(), outputs, ended);
  }
  return outputs;
}

// All at once, or one more every few steps.
Outputs together(const std::vector<Submission>& records, const BatcherOptions& options, bool trickle, BatcherStats* stats = nullptr) {
  Batcher batcher(books(), options);
  Outputs outputs;
  size_t ended = 0, expected = 0, next = 0;
  for (const Submission& record : records) expected += record.n_samples;
  for (size_t step = 0; ended < expected; ++step) {
    while (next < records.size() && (!trickle || step >= 2 * next || batcher.unfinished() == 0)) batcher.submit(records[next++]);
    REQUIRE(step < 100000);
    collect(batcher.step(), outputs, ended);
  }
  CHECK(batcher.unfinished() == 0);
  if (stats != nullptr) *stats = batcher.stats();
  return outputs;
}

}  // namespace

TEST_CASE("batcher: 40 records give the same tokens alone and together") {
  std::vector<Submission> all = records(40);
  const Outputs expected = alone(all);
  CHECK(expected.size() == 40);
  CHECK(together(all, options(1), false) == expected);
  CHECK(together(all, options(3, 16), true) == expected);
  CHECK(together(all, options(16, 256), false) == expected);
  CHECK(together(all, options(16, 64, 0, false), true) == expected);
  std::reverse(all.begin(), all.end());
  CHECK(together(all, options(7, 33), true) == expected);
  CHECK(together(all, options(16, 64, 9), false) == expected);  // 9 blocks for 16 slots of up to 4 each
}

TEST_CASE("batcher: samples of one prompt compute it once and are those of their own runs") {
  Submission record;
  record.id = 7;
  record.prompt = tokens_of(150, 3);
  record.request.seed = 11;
  record.request.max_new_tokens = 20;
  record.request.ignore_eos = true;
  Outputs expected;
  for (uint32_t i = 0; i < 8; ++i) {
    Submission one = record;
    one.request.sample = i;
    const Outputs output = alone({one});
    expected[{7, i}] = output.begin()->second;
  }
  record.n_samples = 8;
  for (const uint32_t slots : {1u, 3u, 16u}) {
    BatcherStats stats;
    CHECK(together({record}, options(slots), false, &stats) == expected);
    CHECK(stats.prompt_tokens == 150);
    CHECK(stats.computed_rows == 150 + 7 + 8 * 19);  // each sample has its own row of the prompt's last token; its own last needs none
  }
  CHECK(together({record}, options(8, 64, 5), false) == expected);
}

TEST_CASE("batcher: a prompt that shares 192 tokens with an earlier one computes only the rest") {
  Submission first, second;
  first.id = 1;
  first.prompt = tokens_of(200, 5);
  first.request.max_new_tokens = 4;
  second = first;
  second.id = 2;
  second.prompt.resize(192);
  const std::vector<int32_t> rest = tokens_of(40, 6);
  second.prompt.insert(second.prompt.end(), rest.begin(), rest.end());
  const Outputs expected = alone({second});
  Batcher batcher(books(), options(2));
  Outputs outputs;
  size_t ended = 0;
  batcher.submit(first);
  while (ended < 1) collect(batcher.step(), outputs, ended);
  const uint64_t before = batcher.stats().computed_rows;
  batcher.submit(second);
  while (ended < 2) collect(batcher.step(), outputs, ended);
  CHECK(batcher.stats().cached_tokens == 192);
  CHECK(batcher.stats().computed_rows - before == 40 + 3);
  CHECK(outputs[{2, 0}] == expected.begin()->second);
}

TEST_CASE("batcher: cancelled samples stop, the others do not notice") {
  std::vector<Submission> all = records(20);
  const Outputs expected = alone(all);
  for (Submission& record : all) record.n_samples = 3;
  Batcher batcher(books(), options(4, 32));
  for (const Submission& record : all) batcher.submit(record);
  Outputs outputs;
  size_t ended = 0;
  for (size_t step = 0; batcher.unfinished() > 0; ++step) {
    REQUIRE(step < 10000);
    if (step < 20) batcher.cancel(step, step % 2 == 0 ? 1 : 2);
    if (step == 5) batcher.cancel(9);
    if (step == 6) batcher.cancel(12, 0);
    collect(batcher.step(), outputs, ended);
  }
  for (const auto& [key, tokens] : expected) {
    if (key.first != 9 && key.first != 12) CHECK(outputs[key] == tokens);
  }
  // What was cancelled holds nothing any more.
  const Engine& engine = batcher.engine();
  CHECK(engine.pool().free_blocks() + engine.prefix_cache().size() == engine.pool().max_blocks());
  CHECK(engine.prefix_cache().unused() == engine.prefix_cache().size());
}

TEST_CASE("batcher: a draft changes the number of steps and not the tokens") {
  std::vector<Submission> all = records(12);
  for (Submission& record : all) record.request.max_new_tokens = 24;
  const Outputs expected = alone(all);
  EngineOptions engine_options = options(12, 256).engine;
  engine_options.max_draft = 5;
  Engine engine(books(), engine_options);
  std::map<SlotId, uint64_t> owner;
  Outputs outputs;
  for (const Submission& record : all) owner[engine.insert(engine.prefill(engine.start(record.prompt, record.request)))] = record.id;
  Numbers numbers(4);
  size_t steps = 0, accepted = 0;
  for (; !owner.empty(); ++steps) {
    std::vector<std::vector<int32_t>> drafts;
    std::vector<StepRows> rows;
    for (const auto& [slot, id] : owner) {
      // What will come, with an error now and then.
      const std::vector<int32_t>& text = expected.at({id, 0});
      std::vector<int32_t>& draft = drafts.emplace_back();
      for (size_t i = outputs[{id, 0}].size(); i < text.size() && draft.size() < 5; ++i) {
        draft.push_back(numbers.bits() % 4 == 0 ? 17 : text[i]);
      }
      draft.resize(std::min<size_t>(draft.size(), engine.draft_room(slot)));
      rows.push_back({slot, 1, {draft}});
    }
    for (const StepResult& step : engine.generate(rows)) {
      std::vector<int32_t>& output = outputs[{owner[step.slot], 0}];
      output.insert(output.end(), step.tokens.begin(), step.tokens.end());
      accepted += step.n_accepted;
      if (step.finish == FinishReason::running) continue;
      engine.remove(step.slot);
      owner.erase(step.slot);
    }
  }
  CHECK(outputs == expected);
  CHECK(steps < 20);
  CHECK(accepted > 60);
}

TEST_CASE("batcher: sliding goes on past the context, with the same tokens in any company") {
  std::vector<Submission> all = records(5);
  for (Submission& record : all) {
    record.request.max_new_tokens = 300;
    record.request.slide = true;
    record.request.slide_keep = 10;
  }
  const Outputs expected = alone(all);
  for (const auto& [key, tokens] : expected) CHECK(tokens.size() == 300);
  CHECK(together(all, options(5, 32), true) == expected);
  BatcherStats stats;
  CHECK(together(all, options(5, 32, 9), false, &stats) == expected);  // 9 blocks where 5 contexts of 4 are wanted
  CHECK(stats.preemptions > 0);
}

TEST_CASE("batcher: log-probabilities are those of the softmax") {
  Submission record;
  record.prompt = tokens_of(12, 8);
  record.request.sampling.greedy = true;
  record.request.max_new_tokens = 5;
  record.request.ignore_eos = true;
  record.request.n_logprobs = 4;
  Batcher batcher(books(), options(2));
  batcher.submit(record);
  size_t seen = 0;
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      REQUIRE(event.token.has_value());
      REQUIRE(event.top.size() == 4);
      CHECK(event.top[0].token == *event.token);  // greedy
      CHECK(event.top[0].logprob == event.logprob);
      CHECK(event.logprob < 0);
      for (size_t i = 1; i < 4; ++i) CHECK(event.top[i].logprob <= event.top[i - 1].logprob);
      ++seen;
    }
  }
  CHECK(seen == 5);
}

TEST_CASE("batcher: the probabilities of all tokens are 1, and the first token's is the softmax in double") {
  const Model model = convert_fixture(make_checkpoint({}));  // of 3 tokens
  Submission record;
  record.prompt = {1, 2, 0, 0, 1};
  record.request.max_new_tokens = 8;
  record.request.ignore_eos = true;
  record.request.n_logprobs = 3;
  Batcher batcher(model, options(1));
  batcher.submit(record);
  const std::vector<float> rows = logits_of(model, record.prompt, {runnable_kernels().tables[0]});
  const std::span<const float> logits = std::span(rows).last(3);
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit});
  size_t seen = 0;
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      REQUIRE(event.top.size() == 3);
      double sum = 0;
      for (const TokenLogprob& one : event.top) {
        sum += std::exp(double{one.logprob});
        const double expected = logits[static_cast<size_t>(one.token)] - std::log(total);
        if (seen == 0) CHECK(std::abs(one.logprob - expected) < 1e-5);
        if (one.token == *event.token) CHECK(one.logprob == event.logprob);
      }
      CHECK(std::abs(sum - 1) < 1e-5);
      ++seen;
    }
  }
  CHECK(seen == 8);
}
