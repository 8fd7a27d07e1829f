// What texts of every architecture do not depend on, down to the bits of their log-probabilities: threads, instruction
// sets, chunks of prompts, the texts beside them, the prefix cache, and drafts by look-up and by a model of another
// architecture.
#include <doctest/doctest.h>

#include <cstring>

#include "src/engine/batcher.h"
#include "tests/family.h"
#include "tests/kernel_cases.h"
#include "tests/speculated_texts.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Texts {
  std::vector<Tokens> tokens;
  std::vector<std::vector<float>> logprobs;
};

bool same(const Texts& a, const Texts& b) {
  if (a.tokens != b.tokens || a.logprobs.size() != b.logprobs.size()) return false;
  for (size_t i = 0; i < a.logprobs.size(); ++i) {
    const std::vector<float>&x = a.logprobs[i], &y = b.logprobs[i];
    if (x.size() != y.size() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) != 0) return false;
  }
  return true;
}

Tokens some_tokens(uint64_t seed, size_t n) {
  Tokens tokens;
  Numbers numbers(seed);
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % 37));
  return tokens;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Short, sampled with and without filters behind a common prefix of a block, repeating, and longer than the context.
std::vector<SpecCase> cases() {
  const Tokens shared = some_tokens(1, 66), words = some_tokens(2, 6);
  return {{greedy(), some_tokens(3, 5), 12},
          {warm(1.0f, 0, 1.0f), joined(shared, some_tokens(4, 9)), 8},
          {warm(0.7f, 5, 0.9f), joined(shared, some_tokens(5, 3)), 8},
          {warm(0.3f, 0, 1.0f), joined(joined(words, words), words), 12},
          {warm(1.0f, 0, 1.0f), some_tokens(6, 150), 16, true}};
}

BatcherOptions options(uint32_t threads, KvType kv_type) {
  BatcherOptions options;
  options.engine.kernels = runnable_kernels().tables[0];
  options.engine.threads = threads;
  options.engine.kv_type = kv_type;
  return options;
}

}  // namespace

TEST_CASE("family engine: a text's bits do not depend on how it is computed") {
  std::vector<FamilyCase> family = family_cases();
  for (size_t c = 0; c < family.size(); ++c) {
    const DType dtype = c % 2 == 0 ? DType::f32 : c % 4 == 1 ? DType::int8 : DType::int8g32;
    const KvType kv = c % 3 == 0 ? KvType::f32 : KvType::f16;
    const Model model = make_family_model(family[c].config, dtype);
    const Model draft = make_family_model(family[(c + 4) % family.size()].config, DType::int8);
    const std::string name = family[c].name;
    const auto run = [&](const BatcherOptions& way) {
      Texts texts;
      texts.tokens = test::texts(model, cases(), way, &texts.logprobs);
      return texts;
    };
    const Texts expected = run(options(1, kv));
    for (size_t i = 0; i < cases().size(); ++i) REQUIRE_MESSAGE(expected.tokens[i].size() == cases()[i].n, name);
    const KernelList list = runnable_kernels();
    for (size_t i = 1; i < list.count; ++i) {
      BatcherOptions way = options(2, kv);
      way.engine.kernels = list.tables[i];
      way.engine.max_slots = 2;
      CHECK_MESSAGE(same(run(way), expected), name << ", " << list.tables[i]->name);
    }
    for (const uint32_t threads : {2u, 3u}) {
      BatcherOptions way = options(threads, kv);
      way.engine.max_slots = 5;
      way.engine.prefill_chunk = threads == 2 ? 7 : 50;
      CHECK_MESSAGE(same(run(way), expected), name << ", together, " << threads << " threads");
      way.engine.prefix_cache = true;
      way.engine.max_slots = 1;
      way.engine.prefill_chunk = 64;
      CHECK_MESSAGE(same(run(way), expected), name << ", prefix cache, " << threads << " threads");
    }
    for (const bool by_model : {false, true}) {
      for (const bool lookup : {false, true}) {
        BatcherOptions way = options(2, kv);
        way.engine.max_slots = by_model == lookup ? 5 : 1;
        way.engine.prefix_cache = lookup;
        way.speculation.draft = by_model ? &draft : nullptr;
        way.speculation.lookup = lookup;
        way.speculation.policy = DraftPolicy::force;
        way.speculation.max_draft = 6;
        CHECK_MESSAGE(same(run(way), expected), name << ", draft" << (by_model ? " by a model" : "")
                                                     << (lookup ? " by look-up" : ""));
      }
    }
  }
}

TEST_CASE("family engine: drafts of another architecture are taken where they are right") {
  // A model is its own best draft; that of another architecture with the same tokenizer proposes something, too.
  const std::vector<FamilyCase> family = family_cases();
  for (size_t c = 0; c < family.size(); c += 4) {
    const Model model = make_family_model(family[c].config);
    const Model other = make_family_model(family[(c + 1) % family.size()].config);
    for (const Model* draft : {&model, &other}) {
      BatcherOptions way = options(2, KvType::f32);
      way.speculation.draft = draft;
      way.speculation.policy = DraftPolicy::force;
      SpeculationStats stats;
      test::texts(model, cases(), way, nullptr, &stats);
      const auto source = static_cast<size_t>(DraftSource::model);
      CHECK_MESSAGE(stats.drafted[source] > 20, family[c].name);
      if (draft == &model) CHECK_MESSAGE(stats.accepted[source] * 10 > stats.drafted[source] * 9, family[c].name);
    }
  }
}
