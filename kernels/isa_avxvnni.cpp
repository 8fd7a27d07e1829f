// The tier for AVX-VNNI on top of AVX2.
#include "kernels/simd_avx2.h"

#define GPT2_DPBUSD _mm256_dpbusd_avx_epi32
#define GPT2_TILE "kernels/tile_avx2.inl"
#define GPT2_BF16 "kernels/bf16_fma.inl"
#define GPT2_DOT "kernels/dot_avxvnni.inl"
#define GPT2_TABLE kAvxVnniTable
#define GPT2_TIER_NAME "avxvnni"
#include "kernels/tier.inl"
