// Random small worlds: a few records with common beginnings and several samples, few slots, hardly enough blocks, drafts, sliding texts,
// cancellations. Each must end with what it gives alone, and leave no block behind. GPT2_WORLDS sets how many (make worlds).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "src/engine/batcher.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr uint64_t kWorlds = 150;

struct Ending {
  std::vector<int32_t> tokens;
  std::vector<std::pair<uint32_t, double>> scores;
  FinishReason finish = FinishReason::running;
  bool operator==(const Ending&) const = default;
};
using Endings = std::map<std::pair<uint64_t, uint32_t>, Ending>;

const Model& tiny_model(uint32_t n_ctx, uint64_t seed) {
  static std::map<std::pair<uint32_t, uint64_t>, Model> models;
  const auto found = models.find({n_ctx, seed});
  if (found != models.end()) return found->second;
  FixtureShape shape;
  shape.n_layer = 1;
  shape.n_ctx = n_ctx;
  return models.emplace(std::pair(n_ctx, seed), convert_fixture(make_checkpoint(shape, seed))).first->second;
}

struct World {
  explicit World(uint64_t seed) : numbers(seed) {}
  Numbers numbers;
  uint32_t below(uint64_t n) { return static_cast<uint32_t>(numbers.bits() % n); }
  uint32_t n_ctx = 1;
  BatcherOptions options;
  std::vector<Submission> records;
  std::map<uint64_t, std::pair<uint32_t, int>> cancelled;  // at this step; of which sample, -1: all
};

std::vector<int32_t> draw_tokens(World& world, size_t n) {
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(world.below(3));
  return tokens;
}

Submission draw_record(World& world, uint64_t id, const std::vector<int32_t>& common) {
  Submission record;
  record.id = id * 10;
  const size_t shared = world.below(3) == 0 ? world.below(common.size() + 1) : common.size();
  record.prompt.assign(common.begin(), common.begin() + static_cast<std::ptrdiff_t>(shared));
  const std::vector<int32_t> own = draw_tokens(world, world.below(3) == 0 ? 0 : world.below(world.n_ctx + 1));
  record.prompt.insert(record.prompt.end(), own.begin(), own.end());
  if (record.prompt.size() > world.n_ctx) record.prompt.resize(world.n_ctx);
  if (record.prompt.empty()) record.prompt = {1};
  record.n_samples = world.below(2) == 0 ? 1 : 1 + world.below(4);
  Request& request = record.request;
  request.seed = id + 1;
  request.ignore_eos = world.below(4) > 0;
  request.max_new_tokens = world.below(8) == 0 ? world.below(3) : 1 + world.below(80);
  request.sampling.greedy = world.below(2) == 0;
  if (world.below(4) == 0) request.sampling.repetition_penalty = 1.3f;
  if (world.below(4) == 0) request.sampling.frequency_penalty = 0.7f;
  if (world.below(8) == 0) request.sampling.presence_penalty = -1.1f;
  if (world.below(20) == 0) request.sampling.forbidden = {0, 1, 2};
  if (world.below(6) == 0) request.n_logprobs = 2;
  const bool scored = world.below(3) == 0;
  if (scored) request.scores.first = 1 + world.below(record.prompt.size());
  if (scored && world.below(3) > 0) request.max_new_tokens = 0;
  if (world.n_ctx > 1 && world.below(3) == 0) {
    request.slide = true;
    request.slide_keep = world.n_ctx / 2 > 0 ? world.below(world.n_ctx / 2) : 0;
    if (!scored) request.max_new_tokens += world.below(world.n_ctx);
  }
  return record;
}

void share(const Submission& before, Submission& record) {
  const auto ends = std::mismatch(before.prompt.begin(), before.prompt.end(), record.prompt.begin(), record.prompt.end());
  record.n_shared = static_cast<uint32_t>(ends.first - before.prompt.begin());
}

World draw_world(uint64_t seed) {
  World world(seed);
  world.n_ctx = world.below(8) == 0 ? 1 + world.below(4) : 1 + world.below(200);
  EngineOptions& engine = world.options.engine;
  engine.kernels = runnable_kernels().tables[0];
  engine.threads = world.below(16) == 0 ? 2 : 1;
  engine.max_slots = 1 + world.below(6);
  engine.prefill_chunk = 1 + world.below(world.below(2) == 0 ? 16 : 200);
  engine.kv_blocks = 2 + world.below(world.below(2) == 0 ? 6 : 39);
  engine.prefix_cache = world.below(4) > 0;
  SpeculationOptions& speculation = world.options.speculation;
  const uint32_t draft = world.below(4);
  speculation.lookup = draft == 1 || draft == 2;
  if (draft >= 2) speculation.draft = &tiny_model(world.below(2) == 0 ? world.n_ctx : 40, 1 + world.below(2));
  speculation.lookup_match = 1 + world.below(2);
  speculation.max_draft = 1 + world.below(kMaxDraft);
  speculation.policy = world.below(3) == 0 ? DraftPolicy::automatic : DraftPolicy::force;
  if (draft == 0) speculation.policy = DraftPolicy::off;
  const std::vector<int32_t> common = draw_tokens(world, world.below(world.n_ctx + 1));
  const uint32_t n_records = 1 + world.below(7);
  for (uint64_t id = 0; id < n_records; ++id) {
    world.records.push_back(draw_record(world, id, common));
    Submission& record = world.records.back();
    if (id > 0 && record.n_samples == 1 && world.below(2) == 0) share(world.records[id - 1], record);
    if (world.below(6) == 0) world.cancelled[record.id] = {world.below(60), static_cast<int>(world.below(record.n_samples + 1)) - 1};
  }
  return world;
}

void collect(std::span<const Event> events, Endings& endings) {
  for (const Event& event : events) {
    Ending& ending = endings[{event.id, event.sample}];
    REQUIRE(ending.finish == FinishReason::running);
    if (event.token) ending.tokens.push_back(*event.token);
    for (const TokenScore& score : event.scores) ending.scores.emplace_back(score.index, score.logprob);
    ending.finish = event.finish;
  }
}

// Every sample in a process of its own, as it were.
Endings alone(const World& world) {
  Endings endings;
  BatcherOptions options;
  options.engine.kernels = world.options.engine.kernels;
  options.engine.kv_blocks = blocks_of(world.n_ctx) * 2;
  for (const Submission& record : world.records) {
    for (uint32_t i = 0; i < record.n_samples; ++i) {
      Batcher batcher(tiny_model(world.n_ctx, 1), options);
      Submission one = record;
      one.request.sample += i;
      one.n_samples = 1;
      one.n_shared = 0;
      Endings ending;
      batcher.submit(one);
      while (batcher.unfinished() > 0) collect(batcher.step(), ending);
      endings[{record.id, i}] = ending.begin()->second;
    }
  }
  return endings;
}

Endings together(World& world) {
  Batcher batcher(tiny_model(world.n_ctx, 1), world.options);
  Endings endings;
  const bool all_at_once = world.below(2) == 0;
  size_t next = 0;
  uint32_t pauses = world.below(3) == 0 ? 20 : 0;  // that are left: a long prompt is begun anew behind each
  std::set<uint64_t> paused;
  for (uint32_t step = 0; next < world.records.size() || batcher.unfinished() > 0; ++step) {
    REQUIRE(step < 20000);
    while (next < world.records.size() && (all_at_once || world.below(3) == 0 || batcher.unfinished() == 0)) {
      batcher.submit(world.records[next++]);
    }
    for (const auto& [id, when] : world.cancelled) {
      if (when.first != step) continue;
      if (when.second < 0) {
        batcher.cancel(id);
      } else {
        batcher.cancel(id, static_cast<uint32_t>(when.second));
      }
    }
    for (size_t i = 0; (pauses > 0 || !paused.empty()) && i < next; ++i) {
      const uint64_t id = world.records[i].id;
      if (paused.contains(id) && world.below(4) == 0) {
        paused.erase(id);
        batcher.resume(id);
      } else if (pauses > 0 && world.below(20) == 0) {
        --pauses;
        paused.insert(id);
        batcher.pause(id);
      }
    }
    if (batcher.runnable() == 0) continue;
    const uint64_t rows = batcher.stats().computed_rows;
    const std::span<const Event> events = batcher.step();
    REQUIRE((!events.empty() || batcher.stats().computed_rows > rows));  // no step without progress
    collect(events, endings);
  }
  const Engine& engine = batcher.engine();
  REQUIRE(engine.pool().free_blocks() + engine.prefix_cache().size() == engine.pool().max_blocks());
  REQUIRE(engine.prefix_cache().unused() == engine.prefix_cache().size());
  return endings;
}

void check_world(uint64_t seed) {
  World world = draw_world(seed);
  const Endings expected = alone(world), found = together(world);
  for (const auto& [key, ending] : expected) {
    const auto other = found.find(key);
    const auto cancelled = world.cancelled.find(key.first);
    const bool may_be_cut =
        cancelled != world.cancelled.end() && (cancelled->second.second < 0 || static_cast<uint32_t>(cancelled->second.second) == key.second);
    if (!may_be_cut) {
      REQUIRE(other != found.end());
      REQUIRE(other->second == ending);
    } else if (other != found.end()) {
      const std::vector<int32_t>& tokens = other->second.tokens;
      REQUIRE(tokens.size() <= ending.tokens.size());
      REQUIRE(std::equal(tokens.begin(), tokens.end(), ending.tokens.begin()));
    }
  }
}

}  // namespace

TEST_CASE("worlds: every record ends with what it gives alone, and no block is lost") {
  const char* wanted = std::getenv("GPT2_WORLDS");
  const uint64_t n = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : kWorlds;
  for (uint64_t seed = 1; seed <= n; ++seed) {
    CAPTURE(seed);
    check_world(seed);
  }
}
