// The scheduler with blocks that are only counted: 10,000 random arrival patterns, and after every step what must always hold.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "src/engine/scheduler.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr uint32_t kBlock = 4;

struct Life {
  uint64_t group = 0;
  uint32_t wanted = 0;  // tokens that it ends with
  uint32_t known = 0, computed = 0;
  bool is_running = false, is_paused = false;
};

// What carries the decisions out, and counts blocks as if none were shared.
struct World {
  Scheduler scheduler;
  uint32_t pool = 0;
  std::map<SequenceId, Life> lives;

  size_t held() const {
    size_t n = 0;
    for (const auto& [id, life] : lives) n += (life.computed + kBlock - 1) / kBlock;
    return n;
  }
  void update(SequenceId id, uint32_t draft_room) { scheduler.update(id, {lives[id].known, lives[id].computed, draft_room, false}); }

  // The rows of the next step.
  std::vector<PlannedRows> plan(uint32_t prompt_rows) {
    for (size_t n = 0;; ++n) {
      REQUIRE(n < 100);
      const Decision decision = scheduler.decide(prompt_rows, pool - held());
      if (decision.kind == Decision::Kind::compute) return {decision.rows.begin(), decision.rows.end()};
      Life& life = lives.at(decision.id);
      if (decision.kind == Decision::Kind::preempt) {
        REQUIRE(life.is_running);
        for (const auto& [id, other] : lives) {  // it is the youngest of those that are paused, or else of all
          REQUIRE((!other.is_running || other.is_paused < life.is_paused || (other.is_paused == life.is_paused && id <= decision.id)));
        }
        life.computed = 0;
        life.is_running = false;
        continue;
      }
      REQUIRE_FALSE((life.is_running || life.is_paused));
      life.is_running = true;
      // The copies of a shared prompt take blocks here, so that it may be cut.
      if (decision.from > 0) {
        REQUIRE(lives.at(decision.from).group == life.group);
        REQUIRE(lives.at(decision.from).is_running);
      }
      update(decision.id, 0);
    }
  }
};

void run_pattern(uint64_t seed) {
  Numbers numbers(seed);
  const auto below = [&](uint64_t n) { return static_cast<uint32_t>(numbers.bits() % n); };
  SchedulerLimits limits;
  limits.max_running = 1 + below(6);
  limits.prompt_rows = 8 + below(24);
  limits.block_positions = kBlock;
  const uint32_t longest = 24, n_sequences = 1 + below(12);
  World world = {Scheduler(limits), longest / kBlock + 1 + below(12), {}};
  const bool has_pauses = seed % 2 == 0;
  uint32_t arrived = 0, ended = 0, group_left = 0;
  for (uint32_t step = 0; ended < n_sequences; ++step) {
    REQUIRE(step < 4000);  // no sequence waits forever
    while (arrived < n_sequences && (below(3) == 0 || world.lives.empty())) {
      const SequenceId id = ++arrived;
      Life life;
      if (group_left > 0 && !world.lives.empty()) {
        --group_left;
        life.group = world.lives.rbegin()->second.group;
      } else {
        group_left = below(3);
        life.group = id;
      }
      life.known = static_cast<uint32_t>(1 + (life.group * 7 + seed) % (longest - 2));
      life.wanted = life.known + 1 + below(longest - life.known);
      world.lives[id] = life;
      world.scheduler.add(id, life.known, life.group, life.known);
    }
    const uint32_t prompt_rows = 1 + below(limits.prompt_rows);
    for (auto& [id, life] : world.lives) {
      const bool pauses = has_pauses && (life.is_paused ? below(4) > 0 : below(30) == 0);
      if (pauses != std::exchange(life.is_paused, pauses)) pauses ? world.scheduler.pause(id) : world.scheduler.resume(id);
    }
    const std::vector<PlannedRows> rows = world.plan(prompt_rows);
    REQUIRE(rows.empty() == (world.scheduler.paused() == world.lives.size()));  // something is always computed
    if (rows.empty()) continue;
    REQUIRE(world.scheduler.running() <= limits.max_running);
    uint32_t prompts = 0;
    bool others = false;
    std::set<SequenceId> seen;
    for (const PlannedRows& part : rows) {
      Life& life = world.lives.at(part.id);
      REQUIRE(seen.insert(part.id).second);
      REQUIRE((life.is_running && !life.is_paused));
      REQUIRE((part.n_rows > 0 && life.computed + part.n_rows <= life.known));
      const bool decodes = life.known == life.computed + 1;
      if (!decodes) REQUIRE(part.n_draft == 0);
      prompts += decodes ? 0 : part.n_rows;
      others = others || decodes;
      life.computed += part.n_rows + part.n_draft;
    }
    REQUIRE(prompts <= (others ? prompt_rows : limits.prompt_rows));
    REQUIRE(world.held() <= world.pool);
    // The oldest always gets on. One that was paused may have lost its place: the oldest of those that run does.
    const auto oldest = std::find_if(world.lives.begin(), world.lives.end(), [&](const auto& life) {
      return !has_pauses || (life.second.is_running && !life.second.is_paused);
    });
    REQUIRE(seen.contains(oldest->first));
    for (const PlannedRows& part : rows) {
      Life& life = world.lives.at(part.id);
      if (part.n_draft > 0) life.computed -= below(part.n_draft + 1);
      life.known = std::max(life.known, life.computed + (life.computed >= life.known ? 1 : 0));
      if (life.known > life.wanted || below(40) == 0) {  // at its end, or cancelled
        const uint32_t computed = life.computed;
        world.lives.erase(part.id);
        ++ended;
        if (const auto heir = world.scheduler.remove(part.id)) {
          Life& next = world.lives.at(*heir);
          REQUIRE_FALSE(next.is_running);
          next.is_running = true;
          next.computed = std::min(computed, next.known - 1);
          world.update(*heir, 0);
        }
      } else {
        world.update(part.id, std::min(below(3), life.wanted - life.known));
      }
    }
  }
  REQUIRE(world.scheduler.waiting() + world.scheduler.running() + world.scheduler.paused() == 0);
  REQUIRE(world.held() == 0);
}

}  // namespace

TEST_CASE("scheduler: 10,000 random arrival patterns") {
  for (uint64_t seed = 1; seed <= 10000; ++seed) run_pattern(seed);
}

TEST_CASE("scheduler: those of one group wait for the prompt of the first, the rest pass them") {
  SchedulerLimits limits;
  limits.max_running = 4;
  limits.prompt_rows = 6;
  limits.block_positions = kBlock;
  Scheduler scheduler(limits);
  scheduler.add(1, 10, 1, 10);
  scheduler.add(2, 10, 1, 10);
  scheduler.add(3, 4, 3, 4);
  const auto next = [&] { return scheduler.decide(6, 100); };
  Decision decision = next();
  CHECK((decision.kind == Decision::Kind::admit && decision.id == 1 && decision.from == 0));
  scheduler.update(1, {10, 0, 0, false});
  decision = next();  // all rows of the step are the first's
  REQUIRE((decision.kind == Decision::Kind::compute && decision.rows.size() == 1));
  CHECK((decision.rows[0].id == 1 && decision.rows[0].n_rows == 6));
  scheduler.update(1, {10, 6, 0, false});
  decision = next();
  CHECK((decision.kind == Decision::Kind::admit && decision.id == 3));
  scheduler.update(3, {4, 0, 0, false});
  CHECK(next().rows.size() == 2);
  scheduler.update(1, {11, 10, 2, false});
  decision = next();
  CHECK((decision.kind == Decision::Kind::admit && decision.id == 2 && decision.from == 1));
  scheduler.update(2, {10, 9, 0, false});
  decision = next();
  REQUIRE(decision.rows.size() == 3);
  CHECK((decision.rows[0].n_rows == 1 && decision.rows[0].n_draft == 2));
}

TEST_CASE("scheduler: the youngest gives its blocks to an older one, and waits at its old place") {
  SchedulerLimits limits;
  limits.max_running = 2;
  limits.block_positions = kBlock;
  Scheduler scheduler(limits);
  for (SequenceId id = 1; id <= 3; ++id) scheduler.add(id, 4, id, 4);
  for (SequenceId id = 1; id <= 2; ++id) {
    CHECK(scheduler.decide(256, 10).kind == Decision::Kind::admit);
    scheduler.update(id, {5, 4, 0, false});
  }
  Decision decision = scheduler.decide(256, 0);
  CHECK((decision.kind == Decision::Kind::preempt && decision.id == 2));
  decision = scheduler.decide(256, 1);
  REQUIRE((decision.kind == Decision::Kind::compute && decision.rows.size() == 1));
  CHECK(decision.rows[0].id == 1);
  CHECK_FALSE(scheduler.remove(1));
  CHECK(scheduler.decide(256, 10).id == 2);
}

TEST_CASE("scheduler: what is paused keeps its place until another wants it, and is not planned") {
  SchedulerLimits limits;
  limits.max_running = 2;
  limits.block_positions = kBlock;
  Scheduler scheduler(limits);
  for (SequenceId id = 1; id <= 2; ++id) {
    scheduler.add(id, 4, id, 4);
    CHECK(scheduler.decide(256, 10).kind == Decision::Kind::admit);
    scheduler.update(id, {5, 4, 0, false});
  }
  scheduler.pause(1);
  Decision decision = scheduler.decide(256, 10);
  REQUIRE((decision.kind == Decision::Kind::compute && decision.rows.size() == 1));
  CHECK(decision.rows[0].id == 2);
  scheduler.resume(1);
  CHECK(scheduler.decide(256, 10).rows.size() == 2);
  scheduler.pause(1);
  scheduler.add(3, 4, 3, 4);
  decision = scheduler.decide(256, 10);  // both places are taken
  CHECK((decision.kind == Decision::Kind::preempt && decision.id == 1));
  decision = scheduler.decide(256, 10);
  CHECK((decision.kind == Decision::Kind::admit && decision.id == 3));
  scheduler.update(3, {4, 0, 0, false});
  CHECK(scheduler.decide(256, 10).rows.size() == 2);
  CHECK(scheduler.paused() == 1);
  CHECK_FALSE(scheduler.remove(1));
  CHECK(scheduler.paused() == 0);
}
