// The engine's three verbs: what they give does not depend on how they are driven, and a step allocates nothing.
#include <doctest/doctest.h>

#include <cstring>

#include "src/engine/engine.h"
#include "tests/counting_allocator.h"
#include "tests/fixtures.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

EngineOptions options(uint32_t threads, uint32_t slots = 1, uint32_t chunk = 256) {
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.threads = threads;
  options.max_slots = slots;
  options.prefill_chunk = chunk;
  return options;
}

Request sampled(uint64_t seed, uint32_t n) {
  Request request;
  request.seed = seed;
  request.max_new_tokens = n;
  request.ignore_eos = true;
  return request;
}

std::vector<int32_t> run(const Model& model, const EngineOptions& options, const std::vector<int32_t>& prompt,
                         const Request& request) {
  Engine engine(model, options);
  engine.insert(engine.prefill(engine.start(prompt, request)));
  std::vector<int32_t> tokens;
  for (;;) {
    const StepResult step = engine.generate()[0];
    tokens.insert(tokens.end(), step.tokens.begin(), step.tokens.end());
    if (step.finish != FinishReason::running) return tokens;
  }
}

const std::vector<int32_t> kPrompt = {501, 816, 544, 358, 480, 638, 11, 349, 1102, 554};

}  // namespace

TEST_CASE("engine: sampled text is the same over threads, chunks and the slots beside it") {
  const std::vector<int32_t> expected = run(books(), options(1), kPrompt, sampled(5, 40));
  CHECK(expected.size() == 40);
  CHECK(run(books(), options(2), kPrompt, sampled(5, 40)) == expected);
  CHECK(run(books(), options(3, 1, 3), kPrompt, sampled(5, 40)) == expected);
  CHECK(run(books(), options(1), kPrompt, sampled(6, 40)) != expected);
  Engine engine(books(), options(2, 3));
  const SlotId other = engine.insert(engine.start(std::vector<int32_t>{7, 8, 9}, sampled(1, 200)));
  engine.generate();
  const SlotId mine = engine.insert(engine.start(kPrompt, sampled(5, 40)));
  std::vector<int32_t> tokens;
  while (tokens.size() < 40) {
    for (const StepResult& step : engine.generate()) {
      if (step.slot == mine) tokens.insert(tokens.end(), step.tokens.begin(), step.tokens.end());
    }
    if (tokens.size() == 10) engine.remove(other);
  }
  CHECK(tokens == expected);
}

TEST_CASE("engine: a request ends at its length, at the end of the context and at the end of the text") {
  const std::vector<int32_t> prompt(250, 262);
  CHECK(run(books(), options(1), prompt, sampled(1, 100)).size() == 7);  // the last token needs no position of its own
  CHECK(run(books(), options(1), kPrompt, sampled(1, 3)).size() == 3);
  CHECK(run(books(), options(1), kPrompt, sampled(1, 0)).empty());
}

TEST_CASE("engine: a step allocates nothing") {
  for (const bool greedy : {true, false}) {
    Engine engine(books(), options(2, 2));
    for (int i = 0; i < 2; ++i) {
      Request request = sampled(static_cast<uint64_t>(i), 200);
      request.sampling.greedy = greedy;
      request.sampling.top_p = 0.9f;
      request.sampling.min_p = 0.01f;
      engine.insert(engine.start(kPrompt, request));
    }
    engine.generate();
    engine.generate();
    const size_t before = allocations();
    for (int i = 0; i < 150; ++i) engine.generate();  // passes two block boundaries
    CHECK(allocations() == before);
  }
}

TEST_CASE("engine: a text that is taken out and put back goes on as if nothing had been") {
  const std::vector<int32_t> expected = run(books(), options(1), kPrompt, sampled(5, 90));
  Engine engine(books(), options(1, 2, 7));
  SlotId slot = engine.insert(engine.prefill(engine.start(kPrompt, sampled(5, 90))));
  for (size_t step = 0; engine.sequence(slot).n_generated() < 90; ++step) {
    if (step % 20 == 10) {
      Sequence text = engine.remove(slot);
      text.kv.truncate(0);
      slot = engine.insert(engine.prefill(std::move(text)));
    }
    engine.generate();
  }
  const Sequence text = engine.remove(slot);
  CHECK(std::equal(expected.begin(), expected.end(), text.tokens.begin() + static_cast<std::ptrdiff_t>(kPrompt.size())));
}

TEST_CASE("engine: a text that slides sees its first tokens and the newer half of the others, as a text of its own would") {
  FixtureShape shape;
  shape.n_ctx = 24;
  const Model model = convert_fixture(make_checkpoint(shape));
  Request request = sampled(3, 60);
  request.slide = true;
  request.slide_keep = 5;
  request.n_logprobs = 3;  // all tokens of this model
  Engine engine(model, options(1));
  const SlotId slot = engine.insert(engine.start(std::vector<int32_t>{1, 2, 0, 1}, request));
  while (engine.sequence(slot).dropped == 0) engine.generate();
  // One more than the context holds; of the 20 behind the first 5 the older 11 go.
  const std::vector<int32_t> all = engine.sequence(slot).tokens;
  REQUIRE(all.size() == 25);
  std::vector<int32_t> seen(all.begin(), all.begin() + 5);
  seen.insert(seen.end(), all.begin() + 16, all.end());
  Request plain = sampled(3, 9);
  plain.n_logprobs = 3;
  Engine fresh(model, options(1));
  fresh.insert(fresh.start(seen, plain));
  const StepResult expected = fresh.generate()[0], slid = engine.generate()[0];
  REQUIRE(slid.top.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(slid.top[i].token == expected.top[i].token);
    CHECK(slid.top[i].logprob == expected.top[i].logprob);
  }
}
