// What this CPU and its operating system can run: CPUID and XCR0 on x86, HWCAP on Arm.
#pragma once

namespace gpt2 {

struct CpuFeatures {
  bool avx2;        // AVX2, FMA, F16C, and an OS that saves the ymm registers
  bool avx512;      // F, BW, DQ, VL, and an OS that saves zmm and the masks
};
CpuFeatures cpu_features() noexcept;

// Writes the CPU's name, zero-terminated; "unknown" where there is none.
void cpu_name(char (&name)[64]) noexcept;

}  // namespace gpt2
