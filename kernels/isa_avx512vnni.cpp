// The tier for AVX-512 with VNNI.
#include "kernels/simd_avx512.h"

#define GPT2_TILE "kernels/tile_avx512.inl"
#define GPT2_BF16 "kernels/bf16_fma.inl"
#define GPT2_DOT "kernels/dot_avx512vnni.inl"
#define GPT2_TABLE kAvx512VnniTable
#define GPT2_TIER_NAME "avx512vnni"
#include "kernels/tier.inl"
