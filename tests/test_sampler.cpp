// The sampler against tables that transformers' LogitsProcessors computed (scripts/make_sampler_tables.py), and its corners.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "src/engine/engine.h"
#include "src/io/json.h"
#include "tests/counting_allocator.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

double number(const Json& json) {
  return json.kind == Json::Kind::integer ? static_cast<double>(json.integer) : json.real;
}

template <class T>
std::vector<T> numbers(const Json& array) {
  std::vector<T> values;
  for (const Json& value : array.array) values.push_back(static_cast<T>(number(value)));
  return values;
}

SamplingOptions options_of(const Json& json) {
  SamplingOptions options;
  options.top_k = 0;
  for (const auto& [key, value, place] : json.object) {
    const auto real = static_cast<float>(number(value));
    if (key == "logit_bias") {
      for (const Json& pair : value.array) {
        options.logit_bias.push_back({static_cast<int32_t>(pair.array[0].integer), static_cast<float>(number(pair.array[1]))});
      }
    } else if (key == "forbidden") {
      options.forbidden = numbers<int32_t>(value);
    } else if (key == "no_repeat_ngram") {
      options.no_repeat_ngram = static_cast<uint32_t>(value.integer);
    } else if (key == "min_new_tokens") {
      options.min_new_tokens = static_cast<uint32_t>(value.integer);
    } else if (key == "top_k") {
      options.top_k = static_cast<uint32_t>(value.integer);
    } else if (key == "greedy") {
      options.greedy = value.boolean;
    } else {
      const std::pair<const char*, float*> reals[] = {{"repetition_penalty", &options.repetition_penalty},
                                                      {"temperature", &options.temperature},
                                                      {"top_p", &options.top_p},
                                                      {"min_p", &options.min_p},
                                                      {"typical_p", &options.typical_p}};
      bool known = false;
      for (const auto& [name, out] : reals) {
        if (key == name) {
          *out = real;
          known = true;
        }
      }
      REQUIRE_MESSAGE(known, key);
    }
  }
  return options;
}

const PositionNoise kNoise(1, 0, 0);

}  // namespace

TEST_CASE("sampler: survivors and scores equal those of transformers, bit for bit") {
  const std::string path = source_path("tests/data/sampler_tables.json");
  const Json table = parse_json(read_file(path), path);
  const std::vector<int32_t> eos = numbers<int32_t>(*table.find("eos"));
  const auto n_vocab = static_cast<uint32_t>(table.find("n_vocab")->integer);
  Sampler sampler(n_vocab);
  size_t checked = 0;
  for (const Json& c : table.find("cases")->array) {
    const auto tokens = numbers<int32_t>(*c.find("tokens"));
    const TextSoFar text = {tokens, static_cast<uint32_t>(tokens.size() - static_cast<size_t>(c.find("n_prompt")->integer)), eos};
    const auto logits = numbers<float>(*c.find("logits"));
    const SamplingOptions options = options_of(*c.find("options"));
    std::vector<float> scores(n_vocab, -std::numeric_limits<float>::infinity());
    for (const Candidate& candidate : sampler.filter(logits, options, text)) {
      scores[static_cast<size_t>(candidate.token)] = candidate.logit;
    }
    float best = -std::numeric_limits<float>::infinity();
    int32_t arg_max = -1;
    for (uint32_t id = 0; id < n_vocab; ++id) {
      const Json& expected = c.find("scores")->array[id];
      CAPTURE(checked);
      CAPTURE(id);
      if (expected.kind == Json::Kind::null) {
        REQUIRE(scores[id] == -std::numeric_limits<float>::infinity());
      } else {
        REQUIRE(scores[id] == static_cast<float>(number(expected)));
        if (scores[id] > best) {
          best = scores[id];
          arg_max = static_cast<int32_t>(id);
        }
      }
    }
    const auto drawn = sampler.sample(logits, options, text, kNoise);
    REQUIRE(drawn.has_value());
    REQUIRE(std::isfinite(scores[static_cast<size_t>(*drawn)]));
    if (options.greedy) REQUIRE(*drawn == arg_max);
    ++checked;
  }
  CHECK(checked >= 100);
}

TEST_CASE("sampler: nothing left is no token, never a forbidden one") {
  Sampler sampler(4);
  const std::vector<float> logits = {1, 2, 3, 4};
  const std::vector<int32_t> text = {0, 1, 2, 3}, eos = {3};
  SamplingOptions options;
  options.no_repeat_ngram = 1;
  CHECK_FALSE(sampler.sample(logits, options, {text, 0, eos}, kNoise).has_value());
  options.greedy = true;
  CHECK_FALSE(sampler.sample(logits, options, {text, 0, eos}, kNoise).has_value());
  options.no_repeat_ngram = 0;
  options.forbidden = {0, 2};
  options.min_new_tokens = 3;
  CHECK(sampler.sample(logits, options, {text, 2, eos}, kNoise) == 1);
  CHECK(sampler.sample(logits, options, {text, 3, eos}, kNoise) == 3);
}

namespace {

// The logits that the options leave, by token.
std::vector<float> left_by(Sampler& sampler, const SamplingOptions& options, std::span<const float> logits, const TextSoFar& text) {
  std::vector<float> left(logits.size(), -std::numeric_limits<float>::infinity());
  for (const Candidate& candidate : sampler.filter(logits, options, text)) left[static_cast<size_t>(candidate.token)] = candidate.logit;
  return left;
}

}  // namespace

TEST_CASE("sampler: frequency and presence penalties by hand: each time, once, and never for the prompt") {
  Sampler sampler(6);
  const std::vector<float> logits = {1, 2, 3, -4, 5, 0.5f};
  const std::vector<int32_t> tokens = {4, 4, 2, /* generated: */ 0, 3, 0, 0, 1};
  const TextSoFar text = {tokens, 5, {}};
  SamplingOptions options;
  options.top_k = 0;
  options.frequency_penalty = 0.5f;  // counts: 3 of 0, 1 of 1, 1 of 3
  CHECK(left_by(sampler, options, logits, text) == std::vector<float>{-0.5f, 1.5f, 3, -4.5f, 5, 0.5f});
  options.frequency_penalty = 0;
  options.presence_penalty = 0.25f;
  CHECK(left_by(sampler, options, logits, text) == std::vector<float>{0.75f, 1.75f, 3, -4.25f, 5, 0.5f});
  options.frequency_penalty = -1;
  CHECK(left_by(sampler, options, logits, text) == std::vector<float>{3.75f, 2.75f, 3, -3.25f, 5, 0.5f});
  CHECK(left_by(sampler, options, logits, {tokens, 0, {}}) == logits);
  // After the bias and the repetition penalty, before the temperature: (2 + 1) / 2 - 0.5 = 1 and (-4 * 2) - 0.5 = -8.5.
  options = {};
  options.top_k = 0;
  options.logit_bias = {{1, 1}};
  options.repetition_penalty = 2;
  options.presence_penalty = 0.5f;
  options.temperature = 0.5f;
  CHECK(left_by(sampler, options, logits, text) == std::vector<float>{0, 2, 3, -17, 5, 1});
  // Greedy choice sees them too, and the next call starts from no counts.
  options = {};
  options.greedy = true;
  options.frequency_penalty = 2;
  const std::vector<int32_t> fours = {0, 4, 4};
  CHECK(sampler.sample(logits, options, {fours, 2, {}}, kNoise) == 2);
  CHECK(sampler.sample(logits, options, {fours, 1, {}}, kNoise) == 2);
  options.frequency_penalty = 1.5f;
  CHECK(sampler.sample(logits, options, {fours, 1, {}}, kNoise) == 4);
}

TEST_CASE("sampler: extreme options leave numbers finite and choices legal") {
  Sampler sampler(64);
  std::vector<float> logits(64);
  for (size_t i = 0; i < 64; ++i) logits[i] = (i % 2 == 0 ? 3e38f : -3e38f) / static_cast<float>(i + 1);
  std::vector<int32_t> text = {5, 6, 5, 6};
  SamplingOptions options;
  options.repetition_penalty = 1000;
  options.frequency_penalty = options.presence_penalty = -2;
  options.temperature = 1e-30f;
  options.top_p = 0.9f;
  options.typical_p = 0.5f;
  options.logit_bias = {{0, 1000}, {1, -1000}};
  for (uint32_t top_k : {0u, 1u, 7u, 64u, ~0u}) {
    options.top_k = top_k;
    for (const Candidate& c : sampler.filter(logits, options, {text, 4, {}})) REQUIRE(std::isfinite(c.logit));
    const auto drawn = sampler.sample(logits, options, {text, 4, {}}, kNoise);
    REQUIRE(drawn.has_value());
    REQUIRE((*drawn >= 0 && *drawn < 64));
  }
}

TEST_CASE("sampler: of tokens that are as likely, top_p keeps the lowest ids") {
  Sampler sampler(8);
  const std::vector<float> logits(8, 1.0f);
  SamplingOptions options;
  options.top_k = 0;
  options.top_p = 0.5f;
  const auto kept = sampler.filter(logits, options, {});
  CHECK(kept.size() == 4);
  for (const Candidate& c : kept) CHECK(c.token < 4);
}

TEST_CASE("sampler: ties go to the lowest id") {
  Sampler sampler(5);
  const std::vector<float> logits = {0, 2, 1, 2, 2};
  SamplingOptions options;
  options.greedy = true;
  options.forbidden = {0};
  CHECK(sampler.sample(logits, options, {}, kNoise) == 1);
  options.forbidden = {1};
  CHECK(sampler.sample(logits, options, {}, kNoise) == 3);
}

namespace {

Engine make_engine() {
  EngineOptions options;
  options.max_slots = 2;
  options.kernels = runnable_kernels().tables[0];
  return Engine(books(), options);
}

std::vector<int32_t> tokens_of(Engine& engine, SlotId slot = 0, FinishReason* end = nullptr) {
  std::vector<int32_t> tokens;
  for (;;) {
    const StepRows rows = {slot, engine.sequence(slot).n_known() - engine.sequence(slot).n_computed()};
    const StepResult step = engine.generate({&rows, 1})[0];
    tokens.insert(tokens.end(), step.tokens.begin(), step.tokens.end());
    if (end != nullptr) *end = step.finish;
    if (step.finish != FinishReason::running) return tokens;
  }
}

const std::vector<int32_t> kPrompt = {501, 816, 544, 358, 480, 638};

}  // namespace

TEST_CASE("engine: processors see the prompt and the generated text, greedy too") {
  Request request;
  request.sampling.greedy = true;
  request.max_new_tokens = 100;
  request.ignore_eos = true;
  Engine plain = make_engine();
  plain.insert(plain.start(kPrompt, request));
  const auto repeats = [](std::vector<int32_t> all, size_t n) {
    for (size_t i = 0; i + n <= all.size(); ++i) {
      for (size_t j = i + 1; j + n <= all.size(); ++j) {
        if (std::equal(all.begin() + static_cast<ptrdiff_t>(i), all.begin() + static_cast<ptrdiff_t>(i + n), all.begin() + static_cast<ptrdiff_t>(j))) return true;
      }
    }
    return false;
  };
  std::vector<int32_t> all = tokens_of(plain);
  all.insert(all.begin(), kPrompt.begin(), kPrompt.end());
  CHECK(repeats(all, 2));  // greedy text goes round in circles
  request.sampling.no_repeat_ngram = 2;
  Engine engine = make_engine();
  engine.insert(engine.start(kPrompt, request));
  all = tokens_of(engine);
  CHECK(all.size() == 100);
  all.insert(all.begin(), kPrompt.begin(), kPrompt.end());
  CHECK_FALSE(repeats(all, 2));
}

TEST_CASE("engine: a request whose options forbid every token ends with no_token") {
  Request request;
  for (int32_t id = 0; id < static_cast<int32_t>(books().config().n_vocab); ++id) request.sampling.forbidden.push_back(id);
  Engine engine = make_engine();
  engine.insert(engine.start(kPrompt, request));
  FinishReason end = FinishReason::running;
  CHECK(tokens_of(engine, 0, &end).empty());
  CHECK(end == FinishReason::no_token);
}

TEST_CASE("engine: forks of a prompt give the samples that fresh slots give") {
  Request request;
  request.seed = 9;
  request.max_new_tokens = 90;  // past a block
  request.sampling.repetition_penalty = 1.2f;
  request.sampling.typical_p = 0.9f;
  Engine one = make_engine();
  const SlotId prompt = one.insert(one.prefill(one.start(kPrompt)));
  std::vector<std::vector<int32_t>> samples;
  for (uint32_t i = 0; i < 3; ++i) {
    request.sample = i;
    const SlotId slot = one.fork(prompt, one.start(kPrompt, request));
    CHECK(one.sequence(slot).n_computed() == kPrompt.size() - 1);
    samples.push_back(tokens_of(one, slot));
    one.remove(slot);
    Engine fresh = make_engine();
    fresh.insert(fresh.start(kPrompt, request));
    CHECK(tokens_of(fresh) == samples.back());
  }
  CHECK(samples[0] != samples[1]);
  CHECK(samples[1] != samples[2]);
}

TEST_CASE("engine: a step with all processors and filters allocates nothing") {
  Request request;
  request.max_new_tokens = 200;
  request.ignore_eos = true;
  request.sampling.logit_bias = {{7, 2}};
  request.sampling.forbidden = {8};
  request.sampling.repetition_penalty = 1.1f;
  request.sampling.frequency_penalty = 0.3f;
  request.sampling.presence_penalty = 0.2f;
  request.sampling.no_repeat_ngram = 3;
  request.sampling.min_new_tokens = 100;
  request.sampling.typical_p = 0.8f;
  request.sampling.top_p = 0.9f;
  Engine engine = make_engine();
  engine.insert(engine.start(kPrompt, request));
  engine.generate();
  engine.generate();
  const size_t before = allocations();
  for (int i = 0; i < 150; ++i) engine.generate();
  CHECK(allocations() == before);
}
