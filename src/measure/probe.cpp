#include "src/measure/probe.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <string>

#include "src/base/checked.h"
#include "src/base/clock.h"

namespace gpt2 {

MachineProbe::MachineProbe(const KernelTable& kernels, ThreadTeam& team, size_t bytes)
    : kernels_(kernels), team_(team), memory_(bytes) {
  team.run([&](Worker& worker) noexcept {
    const Range mine = worker.share(memory_.size());
    std::memset(memory_.data() + mine.begin, 1, mine.size());
  });
}

double MachineProbe::read_bandwidth() {
  const double start = now_seconds();
  team_.run([&](Worker& worker) noexcept {
    const Range lines = worker.share(memory_.size() / kLineBytes);
    volatile uint64_t sink = kernels_.probe_read(memory_.data() + lines.begin * kLineBytes, lines.size() * kLineBytes);
    (void)sink;
  });
  return static_cast<double>(memory_.size()) / (now_seconds() - start);
}

double MachineProbe::peak(DType dtype) {
  constexpr double kSeconds = 0.02;
  size_t n = 2000;
  for (;;) {
    std::atomic<double> operations = 0;
    const double start = now_seconds();
    team_.run([&](Worker&) noexcept { operations += kernels_.probe_peak(dtype, n); });
    const double seconds = now_seconds() - start;
    if (seconds >= kSeconds) return operations / seconds;
    n = std::max(2 * n,
                 static_cast<size_t>(std::min(static_cast<double>(n) * kSeconds * 1.2 / (seconds + 1e-9), 1e10)));
  }
}

namespace {

struct CpuTimes {
  double busy = 0, all = 0;  // ticks
};

CpuTimes cpu_times() {
  std::ifstream file("/proc/stat");
  std::string word;
  file >> word;
  CpuTimes times;
  double value = 0;
  for (int field = 0; field < 8 && file >> value; ++field) {  // user nice system idle iowait irq softirq steal
    times.all += value;
    if (field != 3 && field != 4) times.busy += value;
  }
  return times;
}

}  // namespace

double busy_fraction(double interval) {
  const CpuTimes before = cpu_times();
  usleep(static_cast<useconds_t>(interval * 1e6));
  const CpuTimes after = cpu_times();
  return after.all > before.all ? (after.busy - before.busy) / (after.all - before.all) : 0;
}

}  // namespace gpt2
