// The tiers that this machine runs, for tests that compare each with scalar.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "tests/support.h"

#if defined(__x86_64__)
namespace gpt2 {
extern const KernelTable kAvxVnniSisterTable;  // sister_avxvnni.cpp
}
#endif

namespace gpt2::test {

inline const KernelTable& scalar() { return *find_kernels("scalar"); }

// Runs `check` on each tier but scalar; a tier that this machine lacks reports itself.
template <class Check>
void each_tier(Check check) {
#if defined(__x86_64__)
  if (cpu_features().avx512vnni) check(kAvxVnniSisterTable);
#endif
  TierInfo tiers[12];
  const size_t count = all_tiers(tiers);
  for (size_t i = 0; i < count; ++i) {
    if (std::string(tiers[i].name) == "scalar") continue;
    if (const KernelTable* table = find_kernels(tiers[i].name)) {
      CAPTURE(tiers[i].name);
      check(*table);
    } else {
      skip(tiers[i].missing);
    }
  }
}

}  // namespace gpt2::test
