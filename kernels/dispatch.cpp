// The ordered list of tiers, best first, and which of them can run here. The only file that knows every table.
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/tables.h"

namespace gpt2 {
namespace {

struct Tier {
  const KernelTable* table;
  const char* missing;  // nullptr if it can run
};

size_t list_tiers(Tier (&tiers)[12]) noexcept {
  size_t count = 0;
  [[maybe_unused]] const CpuFeatures cpu = cpu_features();
  [[maybe_unused]] const auto add = [&](const KernelTable& table, bool runs, const char* missing) {
    tiers[count++] = {&table, runs ? nullptr : missing};
  };
#if defined(__x86_64__)
  add(kAvx512Bf16Table, cpu.avx512bf16, "this CPU lacks AVX-512 BF16");
  add(kAvx512VnniTable, cpu.avx512vnni, "this CPU lacks AVX-512 VNNI");
  add(kAvx512Table, cpu.avx512, "this CPU or its OS lacks AVX-512 F, BW, DQ, VL");
  add(kAvxVnniTable, cpu.avxvnni, "this CPU lacks AVX-VNNI");
  add(kAvx2Table, cpu.avx2, "this CPU or its OS lacks AVX2, FMA or F16C");
#elif defined(__aarch64__)
  add(kI8mmTable, cpu.i8mm, "this CPU or its OS lacks I8MM or BF16");
  add(kDotprodTable, cpu.dotprod, "this CPU or its OS lacks the dot product instructions");
  add(kNeonTable, true, nullptr);
#endif
  tiers[count++] = {&kScalarTable, nullptr};
  return count;
}

}  // namespace

KernelList runnable_kernels() noexcept {
  Tier tiers[12];
  KernelList list = {};
  const size_t count = list_tiers(tiers);
  for (size_t i = 0; i < count; ++i) {
    if (tiers[i].missing == nullptr) list.tables[list.count++] = tiers[i].table;
  }
  return list;
}

size_t all_tiers(TierInfo (&info)[12]) noexcept {
  Tier tiers[12];
  const size_t count = list_tiers(tiers);
  for (size_t i = 0; i < count; ++i) info[i] = {tiers[i].table->name, tiers[i].missing};
  return count;
}

const KernelTable* find_kernels(const char* name) noexcept {
  const KernelList list = runnable_kernels();
  for (size_t i = 0; i < list.count; ++i) {
    if (strcmp(list.tables[i]->name, name) == 0) return list.tables[i];
  }
  return nullptr;
}

}  // namespace gpt2
