// The scheduler with blocks that are only counted: 10,000 random arrival patterns, and after every step what must always hold.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "src/engine/scheduler.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr uint32_t kBlock = 4;

struct Life {
  uint32_t prompt = 0, wanted = 0;  // tokens it arrives with, and ends with
  uint32_t known = 0, computed = 0;
  uint32_t blocks = 0;
  bool admitted = false;
};

class Blocks final : public BlockOwner {
 public:
  explicit Blocks(uint32_t n) : free_(n) {}
  std::map<SequenceId, Life> lives;
  std::vector<SequenceId> admitted;  // in order

  uint32_t free_blocks() override { return free_; }
  uint32_t blocks_for(SequenceId id, uint32_t n) override {
    const uint32_t needed = (n + kBlock - 1) / kBlock, held = lives.at(id).blocks;
    return needed > held ? needed - held : 0;
  }
  uint32_t admit(SequenceId id) override {
    Life& life = lives.at(id);
    REQUIRE_FALSE(life.admitted);
    life.admitted = true;
    admitted.push_back(id);
    return life.computed = 0;
  }
  void take(SequenceId id, uint32_t n) override {
    const uint32_t more = blocks_for(id, n);
    REQUIRE(more <= free_);
    free_ -= more;
    lives.at(id).blocks += more;
  }
  void give_back(SequenceId id) override {
    Life& life = lives.at(id);
    REQUIRE(life.admitted);
    free_ += life.blocks;
    life = {life.prompt, life.wanted, life.known, 0, 0, false};
  }

 private:
  uint32_t free_;
};

void run_pattern(uint64_t seed) {
  Numbers numbers(seed);
  const auto below = [&](uint64_t n) { return static_cast<uint32_t>(numbers.bits() % n); };
  SchedulerLimits limits;
  limits.max_running = 1 + below(6);
  limits.max_rows = 8 + below(24);
  limits.block_positions = kBlock;
  const uint32_t longest = 24, pool = longest / kBlock + below(12), n_sequences = 1 + below(12);
  Blocks blocks(pool);
  Scheduler scheduler(limits);
  uint32_t arrived = 0;
  std::set<SequenceId> ended;
  for (uint32_t step = 0; ended.size() < n_sequences; ++step) {
    REQUIRE(step < 4000);  // no sequence waits forever
    while (arrived < n_sequences && (below(3) == 0 || scheduler.waiting() + scheduler.running() == 0)) {
      Life life;
      life.prompt = life.known = 1 + below(longest - 2);
      life.wanted = life.prompt + 1 + below(longest - life.prompt);
      blocks.lives[arrived] = life;
      scheduler.add(arrived++, life.prompt);
    }
    const uint32_t prompt_rows = 1 + below(limits.max_rows);
    const auto parts = scheduler.plan(prompt_rows, blocks, [&](SequenceId id) {
      const Life& life = blocks.lives.at(id);
      return std::min(below(3), life.wanted - life.known);
    });
    REQUIRE(!parts.empty());  // something is always computed
    REQUIRE(scheduler.running() <= limits.max_running);
    uint32_t rows = 0, prompts = 0, held = 0;
    std::set<SequenceId> seen;
    bool others = false;
    for (const SchedulerPart& part : parts) {
      Life& life = blocks.lives.at(part.id);
      REQUIRE(seen.insert(part.id).second);
      REQUIRE(life.admitted);
      REQUIRE(part.n_rows > 0);
      REQUIRE(part.first == life.computed);
      REQUIRE(life.blocks * kBlock >= part.first + part.n_rows);
      rows += part.n_rows;
      const bool is_prompt = life.known > life.computed + 1;
      prompts += is_prompt ? part.n_rows : 0;
      others = others || (!is_prompt && life.computed > 0);
      if (is_prompt) REQUIRE(part.first + part.n_rows <= life.known);
    }
    REQUIRE(rows <= limits.max_rows);
    if (others) REQUIRE(prompts <= prompt_rows);
    for (const auto& [id, life] : blocks.lives) held += life.blocks;
    REQUIRE(held + blocks.free_blocks() == pool);
    // The oldest that is unfinished always gets on.
    const auto oldest = std::find_if(blocks.lives.begin(), blocks.lives.end(), [&](const auto& item) { return !ended.contains(item.first); });
    REQUIRE(seen.contains(oldest->first));
    for (const SchedulerPart& part : parts) {
      Life& life = blocks.lives.at(part.id);
      const bool is_prompt = life.known > life.computed + 1;
      life.computed += is_prompt ? part.n_rows : 1 + below(part.n_rows);
      if (life.computed >= life.known) life.known = life.computed + 1;  // sampled
      if (life.known > life.wanted) {
        blocks.give_back(part.id);
        scheduler.remove(part.id);
        ended.insert(part.id);
      } else {
        scheduler.update(part.id, life.known, life.computed);
      }
    }
  }
  REQUIRE(scheduler.waiting() + scheduler.running() == 0);
  REQUIRE(blocks.free_blocks() == pool);
}

}  // namespace

TEST_CASE("scheduler: 10,000 random arrival patterns") {
  for (uint64_t seed = 1; seed <= 10000; ++seed) run_pattern(seed);
}

TEST_CASE("scheduler: those that wait for another's prompt start when it is computed, the rest pass them") {
  Blocks blocks(100);
  for (SequenceId id = 0; id < 3; ++id) blocks.lives[id] = {10, 12, 10, 0, 0, false};
  SchedulerLimits limits;
  limits.max_running = 4;
  limits.max_rows = 6;
  limits.block_positions = kBlock;
  Scheduler scheduler(limits);
  scheduler.add(0, 10);
  scheduler.add_behind(1, 10, 0);
  scheduler.add(2, 10);
  auto parts = scheduler.plan(6, blocks);
  REQUIRE(parts.size() == 1);
  CHECK(parts[0].n_rows == 6);
  scheduler.update(0, 10, 6);
  parts = scheduler.plan(6, blocks);
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].id == 0);
  CHECK(parts[1].id == 2);
  scheduler.update(0, 10, 10);
  CHECK(blocks.admitted == std::vector<SequenceId>{0, 2});
  scheduler.update(2, 10, 2);
  parts = scheduler.plan(6, blocks);
  CHECK(blocks.admitted.size() == 2 + (parts.size() > 2 ? 1 : 0));
}
