// The thread team: one OpenMP parallel region that lasts as long as the team. Its threads wait for steps, and between
// the phases of a step, by WaitWord: they spin for microseconds and then sleep, so that no thread is woken where steps
// follow each other and no core is burnt where another program needs it. libgomp's own waits, which spin for
// milliseconds, are met when the team ends only. Work is split statically, so which thread computes what depends on the
// thread count alone (and no bit on either).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "src/base/wait_word.h"

namespace gpt2 {

struct Range {
  size_t begin = 0, end = 0;
  size_t size() const noexcept { return end - begin; }
};

class ThreadTeam;

// Memory that a worker will read next, in streams that it reads side by side.
struct Upcoming {
  const unsigned char* data = nullptr;
  size_t n_streams = 0, stride = 0;  // bytes from stream to stream
  size_t bytes = 0;                  // of each stream
};

// One thread inside ThreadTeam::run.
class Worker {
 public:
  Worker(ThreadTeam& team, uint32_t index, uint32_t phase) : team_(team), index_(index), phase_(phase) {}
  uint32_t index() const noexcept { return index_; }
  uint32_t count() const noexcept;
  // Returns this worker's contiguous share of n items; shares differ by at most one item.
  Range share(size_t n) const noexcept;
  // Waits until every worker of the step is here. A worker that comes early fetches what is upcoming into its cache.
  void barrier(const Upcoming& upcoming = {}) noexcept;

 private:
  friend class ThreadTeam;
  ThreadTeam& team_;
  uint32_t index_, phase_;
  double slept_ = 0;
};

enum class TeamUse : uint8_t {
  all,           // every step on every thread
  what_pays,     // a step takes fewer where they are faster right now (team_size.h)
};

class ThreadTeam {
 public:
  // Starts the threads, 1 <= n_threads <= kMaxThreads; the OpenMP runtime may give fewer (OMP_THREAD_LIMIT,
  // OMP_DYNAMIC, OMP_MAX_ACTIVE_LEVELS). Throws Error (usage) where OMP_STACKSIZE leaves the threads less than
  // kMinStack.
  explicit ThreadTeam(uint32_t n_threads, TeamUse use = TeamUse::all);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  uint32_t size() const noexcept { return n_threads_; }
  TeamUse use() const noexcept { return use_; }

  // Calls body(Worker&) once on each of n threads, 1 .. size(). The body must not throw. One call at a time.
  template <class Body>
  void run(uint32_t n, Body&& body) noexcept {
    using Plain = std::remove_reference_t<Body>;
    run_step(n, [](void* context, Worker& worker) noexcept { (*static_cast<Plain*>(context))(worker); }, &body);
  }
  template <class Body>
  void run(Body&& body) noexcept {
    run(n_threads_, body);
  }
  // Returns the seconds that the threads of the last step slept in it because others were not there, summed.
  double slept() const noexcept { return slept_.load(std::memory_order_relaxed); }

  static constexpr uint32_t kMaxThreads = 256;
  static constexpr size_t kMinStack = size_t{256} << 10;  // bytes; the kernels' tiles take tens of kilobytes

 private:
  friend class Worker;
  using StepBody = void (*)(void* context, Worker& worker) noexcept;
  void run_step(uint32_t n, StepBody body, void* context) noexcept;
  void host() noexcept;
  void work(uint32_t index) noexcept;
  void stop() noexcept;

  uint32_t n_threads_, spins_, idle_spins_;
  TeamUse use_;
  uint32_t active_ = 1;                 // threads of the step
  std::thread host_;                    // opens the region as its thread 0, and sleeps: the caller of run() stands in
  std::vector<WaitWord> steps_;         // by thread: changes when there is a step for it
  std::atomic<size_t> least_stack_{SIZE_MAX};
  StepBody body_ = nullptr;             // nullptr: the team ends
  void* context_ = nullptr;
  std::atomic<double> slept_{0};
  WaitWord started_, done_, phase_;
  alignas(128) std::atomic<uint32_t> arrived_{0};  // at the barrier, or at the step's end
};

// How many threads to use where no option says it: physical cores within the affinity mask and the cgroup's CPU quota.
struct ThreadChoice {
  uint32_t threads = 1;  // at most
  std::string reason;  // "2 physical cores", "OMP_NUM_THREADS", "cgroup quota of 1.5 CPUs", ...
  TeamUse use = TeamUse::what_pays;
};
ThreadChoice choose_threads();
// Returns the choice for people: "2 (-t)"; "1 (-t; OpenMP gives 1 of 2)" where the team that was made for a choice is
// smaller.
std::string threads_text(const ThreadChoice& choice, uint32_t given);

}  // namespace gpt2
