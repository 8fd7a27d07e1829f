// The model's arithmetic: against float64 goldens, and against itself bit for bit over tiers, threads and chunks.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "src/measure/benchmark.h"
#include "src/engine/engine.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"
#include "src/convert/convert.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr double kTolerance = 2e-4;

std::vector<int32_t> ids_of(const Json& array) {
  std::vector<int32_t> ids;
  for (const Json& id : array.array) ids.push_back(static_cast<int32_t>(id.integer));
  return ids;
}

Json read_json(const std::string& path) { return parse_json(read_file(path), path); }

double number(const Json& json) {
  return json.kind == Json::Kind::integer ? static_cast<double>(json.integer) : json.real;
}

// The teams that run the scalar kernels, where a pass of a larger model takes a second.
enum class ScalarTeams { all, one };

// A kernel table and a thread count each.
template <class Check>
void each_tier_and_team(ScalarTeams scalar, Check check) {
  const KernelList list = runnable_kernels();
  for (size_t i = 0; i < list.count; ++i) {
    const bool all_teams = scalar == ScalarTeams::all || std::strcmp(list.tables[i]->name, "scalar") != 0;
    for (const uint32_t threads : {1u, 2u, 3u, 7u}) {
      if (all_teams || threads == 3) check(*list.tables[i], threads);
    }
  }
}

void check_same_bits(const Model& model, const std::vector<int32_t>& tokens, KvType kv_type,
                     ScalarTeams scalar = ScalarTeams::all) {
  const std::vector<float> expected = logits_of(model, tokens, {find_kernels("scalar"), 1, 1u << 30, kv_type});
  for (const float value : expected) REQUIRE(std::isfinite(value));
  each_tier_and_team(scalar, [&](const KernelTable& table, uint32_t threads) {
    for (const uint32_t chunk : {1u, 7u, 64u, 1u << 30}) {
      const std::vector<float> got = logits_of(model, tokens, {&table, threads, chunk, kv_type});
      REQUIRE_MESSAGE(std::memcmp(got.data(), expected.data(), expected.size() * sizeof(float)) == 0,
                      table.name << ", " << threads << " threads, chunks of " << chunk);
    }
  });
}

std::vector<int32_t> some_tokens(size_t n, uint32_t n_vocab) {
  std::vector<int32_t> tokens;
  Numbers numbers(n);
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % n_vocab));
  return tokens;
}

}  // namespace

TEST_CASE("forward: books' logits are within 2e-4 of float64") {
  const Json golden = read_json(source_path("tests/data/books_logits.json"));
  const std::string bytes = read_file(source_path("tests/data/books_logits.f32"));
  const size_t n_vocab = books().config().n_vocab;
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  size_t at = 0;
  for (const Json& c : golden.find("cases")->array) {
    const std::vector<float> logits = logits_of(books(), ids_of(*c.find("ids")), {runnable_kernels().tables[0]});
    for (const Json& row : c.find("rows")->array) {
      for (size_t i = 0; i < n_vocab; ++i) {
        const double error = std::abs(double{logits[static_cast<size_t>(row.integer) * n_vocab + i]} - expected[at++]);
        REQUIRE(error <= kTolerance);
      }
    }
  }
  CHECK(at == expected.size());
}

TEST_CASE("forward: all of books' golden logits") {
  const std::string golden_dir = shared_dir() + "/data/golden/";
  if (shared_dir().empty()) return skip("no ../shared");
  const Json golden = read_json(golden_dir + "books_logits.json");
  const std::string bytes = read_file(golden_dir + "books_logits.f64");
  size_t at = 0;
  double worst = 0;
  for (const Json& c : golden.find("cases")->array) {
    for (const float logit : logits_of(books(), ids_of(*c.find("ids")), {runnable_kernels().tables[0]})) {
      double expected = 0;
      REQUIRE(at + sizeof expected <= bytes.size());
      std::memcpy(&expected, bytes.data() + at, sizeof expected);
      at += sizeof expected;
      const double error = std::abs(logit - expected);
      REQUIRE(error <= kTolerance);
      worst = std::max(worst, error);
    }
  }
  CHECK(at == bytes.size());
  MESSAGE("largest error " << worst);
}

TEST_CASE("forward: the random tiny checkpoint's golden logits") {
  const char* directory = std::getenv("GPT2_TINY_CHECKPOINT");
  if (shared_dir().empty() || directory == nullptr) return skip("no ../shared, or GPT2_TINY_CHECKPOINT is not set");
  MemorySink sink;
  convert_checkpoint(directory, {}, sink, nullptr);
  const Model model = Model::from_memory(sink.take(), directory);
  const Json golden = read_json(shared_dir() + "/data/golden/tiny.json");
  const size_t n_vocab = model.config().n_vocab;
  for (const Json& c : golden.find("cases")->array) {
    const std::vector<int32_t> ids = ids_of(*c.find("ids"));
    const std::vector<float> logits = logits_of(model, ids, {runnable_kernels().tables[0]});
    for (const char* key : {"last_row_top", "last_row_some"}) {
      for (const Json& pair : c.find(key)->array) {
        const auto id = static_cast<size_t>(pair.array[0].integer);
        const double error = std::abs(logits[(ids.size() - 1) * n_vocab + id] - number(pair.array[1]));
        REQUIRE(error <= kTolerance);
      }
    }
  }
}

TEST_CASE("engine: greedy text equals the golden wherever its margin decides") {
  const Json golden = read_json(source_path("tests/data/books_greedy.json"));
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.threads = 2;
  for (const Json& c : golden.find("cases")->array) {
    Engine engine(books(), options);
    Request request;
    request.sampling.greedy = true;
    request.max_new_tokens = 64;
    request.ignore_eos = true;
    engine.insert(engine.start(ids_of(*c.find("ids")), request));
    const std::vector<int32_t> expected = ids_of(*c.find("greedy"));
    const Json* margins = c.find("margins");
    bool decided = true;
    for (size_t i = 0; i < expected.size() && decided;) {
      for (const int32_t token : engine.generate()[0].tokens) {
        if (!decided) break;
        decided = number(margins->array[i]) > 2 * kTolerance;
        if (decided) REQUIRE(token == expected[i]);
        ++i;
      }
    }
  }
}

TEST_CASE("forward: books has the same bits on every tier, team and chunking") {
  check_same_bits(books(), some_tokens(150, 4096), KvType::f32, ScalarTeams::one);
}

TEST_CASE("forward: width 48, heads of 16 and 3 tokens have the same bits everywhere, f32 and f16 cache") {
  const Model model = convert_fixture(make_checkpoint({}));
  check_same_bits(model, some_tokens(80, 3), KvType::f32);
  check_same_bits(model, some_tokens(80, 3), KvType::f16);
}

TEST_CASE("forward: heads of 24, an odd width and an own head have the same bits everywhere") {
  CheckpointFixture fixture = make_checkpoint({2, 3, 72, 100, 70, 3});
  fixture.shapes["lm_head.weight"] = {3, 72};
  fixture.tensors["lm_head.weight"] = make_checkpoint({1, 1, 72, 8, 8, 3}, 9).tensors["wte.weight"];
  fixture.config_json.insert(1, "\"tie_word_embeddings\":false,\"scale_attn_by_inverse_layer_idx\":true,");
  const Model model = convert_fixture(fixture);
  CHECK_FALSE(model.config().tied_lm_head);
  check_same_bits(model, some_tokens(70, 3), KvType::f32);
}

TEST_CASE("forward: the 124M shape has the same bits on every tier, team and chunking") {
  const Model model = random_model("124M", DType::f32);
  const std::vector<int32_t> tokens = some_tokens(9, 50257);
  const std::vector<float> expected = logits_of(model, tokens, {find_kernels("scalar"), 2, 1u << 30});
  each_tier_and_team(ScalarTeams::one, [&](const KernelTable& table, uint32_t threads) {
    for (const uint32_t chunk : {1u, 7u}) {
      const std::vector<float> got = logits_of(model, tokens, {&table, threads, chunk});
      REQUIRE_MESSAGE(std::memcmp(got.data(), expected.data(), expected.size() * sizeof(float)) == 0,
                      table.name << ", " << threads << " threads, chunks of " << chunk);
    }
  });
}

TEST_CASE("forward: rows of many sequences in one step give each what it gets alone") {
  const Config& config = books().config();
  const KernelTable& kernels = *runnable_kernels().tables[0];
  const KvLayout layout(config, KvType::f32);
  KvPool pool(layout, 16);
  ThreadTeam team(2);
  Workspace workspace(config, 64, 8, 2);
  const std::vector<std::vector<int32_t>> prompts = {some_tokens(5, 4096), some_tokens(1, 4096), some_tokens(33, 4096)};
  std::vector<KvSequence> sequences;
  std::vector<KvSequence*> pointers;
  std::vector<Row> rows;
  for (size_t s = 0; s < prompts.size(); ++s) {
    sequences.emplace_back(pool, config.n_ctx);
    REQUIRE(sequences.back().extend(static_cast<uint32_t>(prompts[s].size())));
    for (size_t i = 0; i < prompts[s].size(); ++i) {
      rows.push_back({static_cast<uint32_t>(s), static_cast<uint32_t>(i), prompts[s][i],
                      i + 1 == prompts[s].size() ? Wants::logits : Wants::nothing});
    }
  }
  for (KvSequence& sequence : sequences) pointers.push_back(&sequence);
  const ForwardResult result = forward(config, books().weights(), {rows, pointers}, workspace, {kernels, team});
  for (size_t s = 0; s < prompts.size(); ++s) {
    const std::vector<float> alone = logits_of(books(), prompts[s], {&kernels});
    REQUIRE(std::memcmp(result.logits.row(s).data(), alone.data() + (prompts[s].size() - 1) * config.n_vocab,
                        config.n_vocab * sizeof(float)) == 0);
  }
}

TEST_CASE("forward: a NaN weight makes the arg-max say so") {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.tensors["h.0.mlp.c_fc.weight"][5] = std::nanf("");
  const Model model = convert_fixture(fixture);
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  Engine engine(model, options);
  const std::vector<int32_t> prompt = {0, 1};
  engine.insert(engine.start(prompt));
  CHECK(engine.generate()[0].finish == FinishReason::nonfinite);
}
