// The avxvnni tier spelt with AVX-512 VL, so that its text is tested on machines without AVX-VNNI.
#include "kernels/simd_avx2.h"

#include "kernels/kernels.h"

namespace gpt2 {
extern const KernelTable kAvxVnniSisterTable;
}

#define GPT2_DPBUSD _mm256_dpbusd_epi32
#define GPT2_TILE "kernels/tile_avx2.inl"
#define GPT2_BF16 "kernels/bf16_fma.inl"
#define GPT2_DOT "kernels/dot_avxvnni.inl"
#define GPT2_TABLE kAvxVnniSisterTable
#define GPT2_TIER_NAME "avxvnni (sister)"
#include "kernels/tier.inl"
