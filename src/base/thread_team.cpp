#include "src/base/thread_team.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <limits>
#include <set>
#include <sstream>
#include <utility>

#include "src/base/cgroup.h"
#include "src/base/error.h"

namespace gpt2 {

uint32_t Worker::count() const noexcept { return team_.n_threads_; }

Range Worker::share(size_t n) const noexcept {
  const size_t count = team_.n_threads_, whole = n / count, rest = n % count;
  const size_t begin = index_ * whole + std::min<size_t>(index_, rest);
  return {begin, begin + whole + (index_ < rest ? 1 : 0)};
}

namespace {

inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

constexpr size_t kCacheLine = 64;
// About 50 microseconds.
constexpr uint32_t kSpins = 2000;

}  // namespace

// A central counter: the last to arrive opens the next phase. Spins first (phases are microseconds long), then yields, at
// once where there are more threads than CPUs.
void Worker::barrier(const Upcoming& upcoming) noexcept {
  ThreadTeam& team = team_;
  if (team.n_threads_ == 1) return;
  const uint32_t next = ++phase_;
  if (team.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == team.n_threads_) {
    team.arrived_.store(0, std::memory_order_relaxed);
    team.phase_.store(next, std::memory_order_release);
    return;
  }
  size_t fetched = 0;
  for (uint32_t spins = 0; team.phase_.load(std::memory_order_acquire) != next; ++spins) {
    if (fetched < upcoming.bytes) {
      for (size_t i = 0; i < upcoming.n_streams; ++i) __builtin_prefetch(upcoming.data + i * upcoming.stride + fetched, 0, 2);
      fetched += kCacheLine;
    } else if (spins < team.spins_before_yield_) {
      cpu_pause();
    } else {
      sched_yield();
    }
  }
}

ThreadTeam::ThreadTeam(uint32_t n_threads) : n_threads_(std::min(n_threads, static_cast<uint32_t>(omp_get_thread_limit()))) {
  GPT2_CHECK(n_threads >= 1 && n_threads <= kMaxThreads);
  cpu_set_t mask;
  const bool known = sched_getaffinity(0, sizeof mask, &mask) == 0;
  const auto cpus = known ? static_cast<uint32_t>(CPU_COUNT(&mask)) : 1u;
  spins_before_yield_ = n_threads_ <= cpus ? kSpins : 0;
  omp_set_dynamic(0);
  if (n_threads_ == 1) return;
  // Threads are made here, and this one sleeps until they run: a new thread often starts on its maker's CPU, where it would
  // wait 4 to 20 ms behind a maker that spins.
  std::latch started(n_threads_);
#pragma omp parallel num_threads(static_cast<int>(n_threads_))
  started.arrive_and_wait();
}

void ThreadTeam::run_region(RegionBody body, void* context) noexcept {
  arrived_.store(0, std::memory_order_relaxed);
  phase_.store(0, std::memory_order_relaxed);
  if (n_threads_ == 1) {
    Worker worker(*this, 0);
    body(context, worker);
    return;
  }
#pragma omp parallel num_threads(static_cast<int>(n_threads_))
  {
    GPT2_CHECK(static_cast<uint32_t>(omp_get_num_threads()) == n_threads_);
    Worker worker(*this, static_cast<uint32_t>(omp_get_thread_num()));
    body(context, worker);
  }
}

namespace {

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Physical cores among the CPUs of the affinity mask: distinct (package, core) pairs.
uint32_t physical_cores() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  std::set<std::pair<std::string, std::string>> cores;
  uint32_t cpus = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    ++cpus;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const std::string core = read_line(topology + "core_id");
    if (!core.empty()) cores.emplace(read_line(topology + "physical_package_id"), core);
  }
  return cores.empty() ? std::max(1u, cpus) : static_cast<uint32_t>(cores.size());
}

// CPUs that the tightest quota of cgroup v2 or v1 allows; infinity without one.
double cgroup_quota() {
  double quota = std::numeric_limits<double>::infinity();
  each_cgroup_level("/sys/fs/cgroup", cgroup_folder(""), [&](const std::string& folder) {
    std::istringstream line(read_line(folder + "/cpu.max"));  // "max 100000" or "150000 100000"
    double limit = 0, period = 0;
    if (line >> limit >> period && limit > 0 && period > 0) quota = std::min(quota, limit / period);
  });
  for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
    each_cgroup_level(mount, cgroup_folder("cpu"), [&](const std::string& folder) {
      const double limit = std::atof(read_line(folder + "/cpu.cfs_quota_us").c_str());
      const double period = std::atof(read_line(folder + "/cpu.cfs_period_us").c_str());
      if (limit > 0 && period > 0) quota = std::min(quota, limit / period);
    });
  }
  return quota;
}

}  // namespace

ThreadChoice choose_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end != text && value >= 1) {
      return {static_cast<uint32_t>(std::min<long>(value, ThreadTeam::kMaxThreads)), "OMP_NUM_THREADS"};
    }
  }
  const uint32_t cores = std::min(physical_cores(), ThreadTeam::kMaxThreads);
  const double quota = cgroup_quota();
  if (quota < cores) {
    std::ostringstream reason;
    reason << "cgroup quota of " << quota << " CPUs";
    return {std::max(1u, static_cast<uint32_t>(std::floor(quota))), reason.str()};
  }
  return {cores, std::to_string(cores) + (cores == 1 ? " physical core" : " physical cores") + " within the affinity mask"};
}

}  // namespace gpt2
