#include "src/base/thread_team.h"

#include <execinfo.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <new>
#include <set>
#include <sstream>
#include <utility>

#include "src/base/cgroup.h"
#include "src/base/error.h"

namespace gpt2 {

uint32_t Worker::count() const noexcept { return team_.active_; }

Range Worker::share(size_t n) const noexcept {
  const size_t count = team_.active_, whole = n / count, rest = n % count;
  const size_t begin = index_ * whole + std::min<size_t>(index_, rest);
  return {begin, begin + whole + (index_ < rest ? 1 : 0)};
}

namespace {

constexpr size_t kCacheLine = 64;
// Looks at a word before sleep, 20 to 50 microseconds: most phases are shorter, and to be woken costs as much.
constexpr uint32_t kSpins = 1000;
// Between steps: tokens are chosen and written meanwhile.
constexpr uint32_t kIdleSpins = 10 * kSpins;

// CPUs that this thread may use.
cpu_set_t own_cpus() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) CPU_ZERO(&mask);
  return mask;
}

// CPUs that the process may use. Where OpenMP binds threads, it has bound this one already: its places tell.
cpu_set_t process_cpus() {
  if (omp_get_proc_bind() == omp_proc_bind_false || omp_get_proc_bind() == omp_proc_bind_master) return own_cpus();
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> ids(static_cast<size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, ids.data());
    for (const int id : ids) CPU_SET(static_cast<size_t>(id), &mask);
  }
  return CPU_COUNT(&mask) > 0 ? mask : own_cpus();
}

// Bytes of stack that this thread was made with.
size_t stack_bytes() noexcept {
  pthread_attr_t attributes;
  void* address = nullptr;
  size_t bytes = SIZE_MAX;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return bytes;
  pthread_attr_getstack(&attributes, &address, &bytes);
  pthread_attr_destroy(&attributes);
  return bytes;
}

// libgomp ends its threads by pthread_exit, for which glibc loads the unwinder (libgcc_s) when the first thread ends,
// and aborts where memory is refused by then. A trace of one frame loads it now. Throws std::bad_alloc.
void load_unwinder() {
  void* frame = nullptr;
  if (backtrace(&frame, 1) == 0) throw std::bad_alloc();
}

}  // namespace

// A central counter: the last to arrive opens the next phase.
void Worker::barrier(const Upcoming& upcoming) noexcept {
  ThreadTeam& team = team_;
  if (team.active_ == 1) return;
  const uint32_t old = phase_++;
  if (team.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == team.active_) {
    team.arrived_.store(0, std::memory_order_relaxed);
    team.phase_.set(phase_);
    return;
  }
  for (size_t fetched = 0; fetched < upcoming.bytes; fetched += kCacheLine) {
    for (size_t i = 0; i < upcoming.n_streams; ++i) {
      __builtin_prefetch(upcoming.data + i * upcoming.stride + fetched, 0, 2);
    }
    if (team.phase_.value() != old) return;
  }
  slept_ += team.phase_.wait(old, team.spins_);
}

ThreadTeam::ThreadTeam(uint32_t n_threads, TeamUse use) : n_threads_(n_threads), use_(use), steps_(n_threads) {
  GPT2_CHECK(n_threads >= 1 && n_threads <= kMaxThreads);
  const char* policy = std::getenv("OMP_WAIT_POLICY");
  const bool may_spin = policy == nullptr || strcasecmp(policy, "passive") != 0;
  const cpu_set_t cpus = process_cpus();
  const bool has_cpus = static_cast<int>(n_threads) <= CPU_COUNT(&cpus);
  spins_ = may_spin && has_cpus ? kSpins : 0;
  idle_spins_ = may_spin && has_cpus ? kIdleSpins : 0;
  if (n_threads == 1) return;
  load_unwinder();
  // This thread sleeps until all run: a new thread often starts on its maker's CPU, where it would wait behind a maker
  // that spins.
  host_ = std::thread([this]() noexcept { host(); });
  started_.wait(0, 0);
  if (least_stack_ >= kMinStack) return;
  stop();
  fail(ExitCode::usage, "OMP_STACKSIZE: expected at least " + std::to_string(kMinStack / 1024) +
                            "k for each thread, found " + std::to_string(least_stack_ / 1024) + "k");
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() noexcept {
  if (!host_.joinable()) return;
  body_ = nullptr;
  for (WaitWord& step : steps_) step.set(step.value() + 1);
  host_.join();
  // The region's end orders the threads' last looks before this; ThreadSanitizer, which does not see into libgomp, is
  // told so.
  GPT2_CHECK(arrived_.load(std::memory_order_acquire) == n_threads_);
}

// Opens the region. Its threads are the team, with the caller of run() in the place of this one.
void ThreadTeam::host() noexcept {
#pragma omp parallel num_threads(static_cast<int>(n_threads_))
  work(static_cast<uint32_t>(omp_get_thread_num()));
}

// A thread's life: steps, until there are no more.
void ThreadTeam::work(uint32_t index) noexcept {
  if (index > 0) {
    const size_t bytes = stack_bytes();
    for (size_t least = least_stack_; bytes < least && !least_stack_.compare_exchange_weak(least, bytes);) {
    }
  }
  const auto given = static_cast<uint32_t>(omp_get_num_threads());
  if (arrived_.fetch_add(1) + 1 == given) {
    n_threads_ = given;
    arrived_ = 0;
    started_.set(1);
  }
  for (uint32_t step = 0;; ++step) {
    steps_[index].wait(step, index == 0 ? 0 : idle_spins_);
    if (body_ == nullptr) break;
    Worker worker(*this, index, phase_.value());
    const uint32_t last = active_ - 2;  // read now: once this thread has arrived, the next step may begin
    body_(context_, worker);
    if (worker.slept_ > 0) slept_ += worker.slept_;
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) < last) continue;
    arrived_.store(0, std::memory_order_relaxed);
    done_.set(done_.value() + 1);
  }
  arrived_.fetch_add(1, std::memory_order_release);
}

void ThreadTeam::run_step(uint32_t n, StepBody body, void* context) noexcept {
  GPT2_CHECK(n >= 1 && n <= n_threads_);
  active_ = n;
  body_ = body;
  context_ = context;
  slept_.store(0, std::memory_order_relaxed);
  Worker worker(*this, 0, phase_.value());
  const uint32_t done = done_.value();
  for (uint32_t i = 1; i < n; ++i) steps_[i].set(steps_[i].value() + 1);
  body(context, worker);
  if (n > 1) worker.slept_ += done_.wait(done, spins_);
  if (worker.slept_ > 0) slept_ += worker.slept_;
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
  const cpu_set_t mask = process_cpus();
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

std::string threads_text(const ThreadChoice& choice, uint32_t given) {
  const std::string count = std::to_string(given);
  if (given == choice.threads) return count + " (" + choice.reason + ")";
  return count + " (" + choice.reason + "; OpenMP gives " + count + " of " + std::to_string(choice.threads) + ")";
}

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
  return {cores,
          std::to_string(cores) + (cores == 1 ? " physical core" : " physical cores") + " within the affinity mask"};
}

}  // namespace gpt2
