// The thread team: one OpenMP parallel region per step, with a spin barrier of its own between the phases of the step.
// Work is split statically, so which thread computes what depends on the thread count alone (and no bit on either).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

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
  Worker(ThreadTeam& team, uint32_t index) : team_(team), index_(index) {}
  uint32_t index() const noexcept { return index_; }
  uint32_t count() const noexcept;
  // This worker's contiguous share of n items; shares differ by at most one item.
  Range share(size_t n) const noexcept;
  // Waits until every worker of the team is here. A worker that comes early fetches what is upcoming into its cache meanwhile.
  void barrier(const Upcoming& upcoming = {}) noexcept;

 private:
  ThreadTeam& team_;
  uint32_t index_;
  uint32_t phase_ = 0;
};

class ThreadTeam {
 public:
  // 1 <= n_threads <= kMaxThreads; OMP_THREAD_LIMIT may leave fewer.
  explicit ThreadTeam(uint32_t n_threads);
  uint32_t size() const noexcept { return n_threads_; }

  // Calls body(Worker&) once on every thread of the team. The body must not throw.
  template <class Body>
  void run(Body&& body) noexcept {
    using Plain = std::remove_reference_t<Body>;
    run_region([](void* context, Worker& worker) noexcept { (*static_cast<Plain*>(context))(worker); }, &body);
  }

  static constexpr uint32_t kMaxThreads = 256;

 private:
  friend class Worker;
  using RegionBody = void (*)(void* context, Worker& worker) noexcept;
  void run_region(RegionBody body, void* context) noexcept;

  uint32_t n_threads_;
  uint32_t spins_before_yield_;
  alignas(128) std::atomic<uint32_t> arrived_{0};
  alignas(128) std::atomic<uint32_t> phase_{0};
};

// How many threads to use when nobody says: physical cores within the affinity mask and the cgroup's CPU quota.
struct ThreadChoice {
  uint32_t threads = 1;
  std::string reason;  // "2 physical cores", "OMP_NUM_THREADS", "cgroup quota of 1.5 CPUs", ...
};
ThreadChoice choose_threads();

}  // namespace gpt2
