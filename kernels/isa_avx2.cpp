// The tier for AVX2, FMA and F16C.
#include "kernels/simd_avx2.h"

#define GPT2_TILE "kernels/tile_avx2.inl"
#define GPT2_BF16 "kernels/bf16_fma.inl"
#define GPT2_DOT "kernels/dot_avx2.inl"
#define GPT2_TABLE kAvx2Table
#define GPT2_TIER_NAME "avx2"
#include "kernels/tier.inl"
