// The thread team: words that threads wait for, barriers with more threads than CPUs, steps one after the other.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "src/base/thread_team.h"

using namespace gpt2;

namespace {

uint32_t more_than_cpus() { return std::min(4 * std::thread::hardware_concurrency() + 3, ThreadTeam::kMaxThreads); }

}  // namespace

TEST_CASE("team: whoever waits for a word sees what was written before it, asleep or not") {
  for (const uint32_t spins : {0u, 1u, 100000u}) {
    WaitWord there, back;
    uint32_t written = 0;
    std::thread other([&] {
      for (uint32_t i = 0; i < 3000; ++i) {
        there.wait(i, spins);
        written = written * 3 + i;
        back.set(i + 1);
      }
    });
    uint32_t expected = 0, different = 0;
    for (uint32_t i = 0; i < 3000; ++i) {
      expected = expected * 3 + i;
      there.set(i + 1);
      back.wait(i, spins);
      different += written == expected ? 0 : 1;
    }
    other.join();
    CHECK(different == 0);
  }
}

TEST_CASE("team: one word wakes all who sleep") {
  WaitWord word;
  std::atomic<uint32_t> woken = 0;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 5; ++i) threads.emplace_back([&] { word.wait(0, 0), ++woken; });
  word.set(1);
  for (std::thread& thread : threads) thread.join();
  CHECK(woken == 5);
}

TEST_CASE("team: no worker passes a barrier before all have come, with fewer and with more threads than CPUs") {
  for (const uint32_t n : {1u, 2u, 3u, more_than_cpus()}) {
    ThreadTeam team(n);
    REQUIRE(team.size() == n);
    struct alignas(128) Place {
      std::atomic<uint32_t> phases{0};
    };
    std::vector<Place> places(n);
    std::atomic<uint32_t> early = 0;
    for (uint32_t step = 0; step < 20; ++step) {
      team.run([&](Worker& worker) noexcept {
        for (uint32_t phase = 1; phase <= 20; ++phase) {
          places[worker.index()].phases.store(step * 20 + phase, std::memory_order_relaxed);
          worker.barrier();
          for (const Place& place : places) early += place.phases.load(std::memory_order_relaxed) < step * 20 + phase ? 1 : 0;
          worker.barrier();
        }
      });
    }
    CHECK(early == 0);
  }
}

TEST_CASE("team: a step ends when every worker has ended, and what they wrote is seen") {
  for (const uint32_t n : {2u, more_than_cpus()}) {
    ThreadTeam team(n);
    std::vector<uint64_t> sums(1000, 0);
    for (uint32_t step = 0; step < 200; ++step) {
      team.run([&](Worker& worker) noexcept {
        const Range mine = worker.share(sums.size());
        for (size_t i = mine.begin; i < mine.end; ++i) sums[i] += i;
      });
      if (step % 50 == 0) std::this_thread::yield();
    }
    size_t different = 0;
    for (size_t i = 0; i < sums.size(); ++i) different += sums[i] == 200 * i ? 0 : 1;
    CHECK(different == 0);
  }
}

TEST_CASE("team: two teams beside each other, and teams that end unused") {
  ThreadTeam first(3), unused(2);
  for (uint32_t i = 0; i < 50; ++i) {
    ThreadTeam second(1 + i % 4);
    std::atomic<uint32_t> n = 0;
    first.run([&](Worker&) noexcept { ++n; });
    second.run([&](Worker&) noexcept { ++n; });
    CHECK(n == 3 + 1 + i % 4);
  }
}
