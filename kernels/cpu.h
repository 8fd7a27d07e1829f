// What this CPU and its operating system can run: CPUID and XCR0 on x86, HWCAP on Arm.
#pragma once

namespace gpt2 {

struct CpuFeatures {
  bool avx2;        // AVX2, FMA, F16C, and an OS that saves the ymm registers
  bool avxvnni;     // AVX-VNNI besides avx2
  bool avx512;      // F, BW, DQ, VL besides avx2, and an OS that saves zmm and the masks
  bool avx512vnni;  // VNNI besides avx512
  bool avx512bf16;  // BF16 besides avx512vnni
  bool dotprod;     // Arm: sdot and udot (NEON itself is part of 64-bit Arm)
  bool i8mm;        // Arm: I8MM and BF16 besides dotprod
};
CpuFeatures cpu_features() noexcept;

// Writes the CPU's name, zero-terminated; "unknown" where there is none.
void cpu_name(char (&name)[64]) noexcept;

}  // namespace gpt2
