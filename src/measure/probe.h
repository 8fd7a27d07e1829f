// The machine's limits, measured: read bandwidth and multiply-add peak with the threads that the model uses. Taken
// beside each sample of a benchmark, because both swing by the minute on a shared machine.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "src/base/anonymous_memory.h"
#include "src/base/thread_team.h"

namespace gpt2 {

class MachineProbe {
 public:
  // `bytes` of memory are read; at least 512 MiB to be past every cache.
  MachineProbe(const KernelTable& kernels, ThreadTeam& team, size_t bytes = size_t{512} << 20);

  double read_bandwidth();  // bytes per second over all threads, one pass
  // Returns the operations per second over all threads, about 20 ms: of multiply-adds in registers as the kernels
  // multiply weights of this type.
  double peak(DType dtype);

 private:
  const KernelTable& kernels_;
  ThreadTeam& team_;
  AnonymousMemory memory_;
};

// Waits for `interval` seconds and returns which share of them all CPUs together were busy (0..1).
double busy_fraction(double interval);

}  // namespace gpt2
