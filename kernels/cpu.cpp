#include "kernels/cpu.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
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

#elif defined(__aarch64__) && defined(__linux__)

namespace {

// Linux, arch/arm64/include/uapi/asm/hwcap.h; older headers lack the later ones.
constexpr unsigned long kHwcapDotprod = 1ul << 20, kHwcapCpuid = 1ul << 11;
constexpr unsigned long kHwcap2I8mm = 1ul << 13, kHwcap2Bf16 = 1ul << 14;

struct CpuPart {
  uint32_t implementer, part;
  const char* name;
};
constexpr CpuPart kParts[] = {
    {0x41, 0xD03, "Arm Cortex-A53"},  {0x41, 0xD05, "Arm Cortex-A55"},  {0x41, 0xD07, "Arm Cortex-A57"},
    {0x41, 0xD08, "Arm Cortex-A72"},  {0x41, 0xD0B, "Arm Cortex-A76"},  {0x41, 0xD0C, "Arm Neoverse N1"},
    {0x41, 0xD40, "Arm Neoverse V1"}, {0x41, 0xD49, "Arm Neoverse N2"}, {0x41, 0xD4F, "Arm Neoverse V2"},
    {0x46, 0x001, "Fujitsu A64FX"},   {0xC0, 0xAC3, "Ampere One"}};

// Appends text to a name that has room left for it.
void append(char (&name)[64], const char* text) noexcept {
  const size_t used = strlen(name), left = sizeof name - 1 - used, n = strlen(text);
  memcpy(name + used, text, (n < left ? n : left) + 1);
  name[sizeof name - 1] = '\0';
}

void append_hex(char (&name)[64], uint32_t value) noexcept {
  constexpr const char* kDigits = "0123456789abcdef";
  const char text[4] = {kDigits[value >> 8 & 15], kDigits[value >> 4 & 15], kDigits[value & 15], '\0'};
  append(name, text);
}

}  // namespace

CpuFeatures cpu_features() noexcept {
  CpuFeatures features = {};
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  features.dotprod = (first & kHwcapDotprod) != 0;
  features.i8mm = features.dotprod && (second & kHwcap2I8mm) != 0 && (second & kHwcap2Bf16) != 0;
  return features;
}

// The kernel lets programs read MIDR_EL1 where it says so.
void cpu_name(char (&name)[64]) noexcept {
  strcpy(name, "unknown");
  if ((getauxval(AT_HWCAP) & kHwcapCpuid) == 0) return;
  uint64_t midr = 0;
  __asm__("mrs %0, midr_el1" : "=r"(midr));
  const auto implementer = static_cast<uint32_t>(midr >> 24 & 0xFF), part = static_cast<uint32_t>(midr >> 4 & 0xFFF);
  for (const CpuPart& known : kParts) {
    if (known.implementer == implementer && known.part == part) {
      strcpy(name, known.name);
      return;
    }
  }
  strcpy(name, "64-bit Arm, implementer 0x");
  append_hex(name, implementer);
  append(name, " part 0x");
  append_hex(name, part);
}

#elif defined(__aarch64__) && defined(__APPLE__)

// Written from Apple's documentation of hw.optional.arm; no such machine was at hand, so this has never run.
namespace {

bool has(const char* item) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(item, &value, &size, nullptr, 0) == 0 && value != 0;
}

}  // namespace

CpuFeatures cpu_features() noexcept {
  CpuFeatures features = {};
  features.dotprod = has("hw.optional.arm.FEAT_DotProd");
  features.i8mm = features.dotprod && has("hw.optional.arm.FEAT_I8MM") && has("hw.optional.arm.FEAT_BF16");
  return features;
}

void cpu_name(char (&name)[64]) noexcept {
  size_t size = sizeof name;
  if (sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) != 0) strcpy(name, "unknown");
}

#else

CpuFeatures cpu_features() noexcept { return {}; }

void cpu_name(char (&name)[64]) noexcept { strcpy(name, "unknown"); }

#endif

}  // namespace gpt2
