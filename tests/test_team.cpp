// The thread team: words that threads wait for, barriers with more threads than CPUs, steps one after the other; and
// how many threads it takes, from step times that are made up.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "src/base/team_size.h"
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
          for (const Place& place : places) {
            early += place.phases.load(std::memory_order_relaxed) < step * 20 + phase ? 1 : 0;
          }
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

TEST_CASE("team: a step on some of the threads leaves the others alone") {
  ThreadTeam team(4);
  std::vector<std::atomic<uint32_t>> calls(4);
  for (uint32_t step = 0; step < 400; ++step) {
    const uint32_t n = 1 + step * 7 % 4;
    std::atomic<uint32_t> items = 0;
    team.run(n, [&](Worker& worker) noexcept {
      ++calls[worker.index()];
      items += worker.count() == n ? static_cast<uint32_t>(worker.share(1000).size()) : 0;
      worker.barrier();
    });
    REQUIRE(items == 1000);
  }
  CHECK(calls[0] == 400);
  CHECK(calls[1] == 300);
  CHECK(calls[2] == 200);
  CHECK(calls[3] == 100);
}

namespace {

// A machine as a team sees it, with n threads: a step's seconds, and the seconds slept in a second of steps.
struct Machine {
  std::function<double(uint32_t n)> seconds;
  std::function<double(uint32_t n)> slept = [](uint32_t) { return 0; };
};

// Steps for so many seconds; returns steps per second.
double live(TeamSize& size, const Machine& machine, double seconds, uint32_t rows = 1) {
  double now = 0, steps = 0;
  for (uint32_t i = 0; now < seconds; ++i, ++steps) {
    const uint32_t n = size.next(rows);
    const double step = machine.seconds(n) * (i % 5 == 0 ? 1.04 : 0.99);
    size.record(rows, step, machine.slept(n) * step);
    now += step;
  }
  return steps / now;
}

double best_rate(const Machine& machine, uint32_t most) {
  double best = 0;
  for (uint32_t n = 1; n <= most; ++n) best = std::max(best, 1 / machine.seconds(n));
  return best;
}

// A step of one thread takes `step` seconds; each of `busy` CPUs out of `cpus` runs another program half of the time.
Machine loaded(double step, uint32_t cpus, uint32_t busy) {
  const auto shared = [=](uint32_t n) { return n + busy > cpus ? n + busy - cpus : 0; };
  return {[=](uint32_t n) { return step * (0.05 + 0.95 / n) * (1 + 1.5 * shared(n)); },
          [=](uint32_t n) { return shared(n) > 0 ? 0.5 * (n - 1) : 0.0; }};
}

}  // namespace

TEST_CASE("team size: alone on the machine it stays whole, and looks elsewhere for less than 1 % of the time") {
  for (const uint32_t most : {1u, 2u, 3u, 8u, 64u}) {
    for (const double step : {0.0002, 0.006, 0.05}) {
      TeamSize size(most);
      const Machine machine = loaded(step, most, 0);
      CHECK(size.next(1) == most);
      CHECK(live(size, machine, 20) > 0.99 * best_rate(machine, most));
      CHECK(size.settled(1) == most);
    }
  }
}

TEST_CASE("team size: beside busy CPUs it is never under 0.95 of the best fixed count") {
  for (const uint32_t most : {2u, 4u, 16u}) {
    for (const double step : {0.0002, 0.006}) {
      for (const uint32_t busy : {1u, 2u}) {
        TeamSize size(most);
        const Machine machine = loaded(step, most, busy);
        const double rate = live(size, machine, 10), best = best_rate(machine, most);
        CHECK_MESSAGE(rate > 0.95 * best, most << " threads, steps of " << step << " s, " << busy << " CPUs busy");
      }
    }
  }
}

TEST_CASE("team size: when the load goes, the threads are back within two seconds") {
  TeamSize size(4);
  live(size, loaded(0.0002, 4, 2), 10);
  CHECK(size.settled(1) < 4);
  live(size, loaded(0.0002, 4, 0), 2);
  CHECK(live(size, loaded(0.0002, 4, 0), 1) > 0.97 * best_rate(loaded(0.0002, 4, 0), 4));
}

TEST_CASE("team size: steps too small to share take one thread, without any load") {
  TeamSize size(2);
  const Machine small = {[](uint32_t n) { return n == 1 ? 0.0001 : 0.00013; }};
  live(size, small, 3);
  CHECK(live(size, small, 10) > 0.98 * best_rate(small, 2));
}

TEST_CASE("team size: what is learned of one row says nothing of many, and many are compared by the row") {
  TeamSize size(2);
  live(size, {[](uint32_t n) { return n == 1 ? 0.001 : 0.004; }, [](uint32_t n) { return n == 1 ? 0.0 : 0.7; }}, 2);
  CHECK(size.settled(1) == 1);
  for (const uint32_t rows : {2u, 9u, 512u, 4000000000u}) CHECK(size.next(rows) == 2);
  // 300 and 500 rows in turn, each with its own time: no count looks faster for having met the smaller ones.
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t rows = i / 3 % 2 == 0 ? 300 : 500;
    size.record(rows, rows * (size.next(rows) == 1 ? 2e-5 : 1e-5), rows * 1e-5 * 0.3);
  }
  CHECK(size.settled(300) == 2);
}
