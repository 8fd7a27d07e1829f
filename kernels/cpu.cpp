#include "kernels/cpu.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gpt2 {

#if defined(__x86_64__)
namespace {

struct Registers {
  uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r = {};
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

// XCR0: which register files the operating system saves (Intel SDM vol. 1, 13.3). Needs OSXSAVE.
uint64_t xcr0() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

bool has(uint64_t bits, uint64_t wanted) { return (bits & wanted) == wanted; }

}  // namespace

CpuFeatures cpu_features() noexcept {
  CpuFeatures features = {};
  constexpr uint32_t kOsxsave = 1u << 27, kAvx = 1u << 28, kFma = 1u << 12, kF16c = 1u << 29;
  const Registers one = cpuid(1, 0);
  if (!has(one.c, kOsxsave | kAvx | kFma | kF16c)) return features;
  constexpr uint64_t kYmmState = 0x6, kZmmState = 0xE6;
  const uint64_t saved = xcr0();
  const Registers seven = cpuid(7, 0);
  constexpr uint32_t kAvx2 = 1u << 5;
  constexpr uint32_t kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  features.avx2 = has(saved, kYmmState) && has(seven.b, kAvx2);
  const Registers seven_one = cpuid(7, 1);
  constexpr uint32_t kAvx512Vnni = 1u << 11, kAvxVnni = 1u << 4, kAvx512Bf16 = 1u << 5;
  features.avxvnni = features.avx2 && has(seven_one.a, kAvxVnni);
  features.avx512 = features.avx2 && has(saved, kZmmState) && has(seven.b, kAvx512);
  features.avx512vnni = features.avx512 && has(seven.c, kAvx512Vnni);
  features.avx512bf16 = features.avx512vnni && has(seven_one.a, kAvx512Bf16);
  return features;
}

void cpu_name(char (&name)[64]) noexcept {
  strcpy(name, "unknown");
  if (cpuid(0x80000000u, 0).a < 0x80000004u) return;
  for (uint32_t i = 0; i < 3; ++i) {
    const Registers r = cpuid(0x80000002u + i, 0);
    memcpy(name + 16 * i, &r, 16);
  }
  name[48] = '\0';
}

#else

CpuFeatures cpu_features() noexcept { return {}; }

void cpu_name(char (&name)[64]) noexcept { strcpy(name, "unknown"); }

#endif

}  // namespace gpt2
