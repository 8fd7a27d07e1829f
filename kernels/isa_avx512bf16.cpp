// The tier for AVX-512 with VNNI and BF16.
#include "kernels/simd_avx512.h"

#define GPT2_TILE "kernels/tile_avx512.inl"
#define GPT2_BF16 "kernels/bf16_dot_avx512.inl"
#define GPT2_DOT "kernels/dot_avx512vnni.inl"
#define GPT2_TABLE kAvx512Bf16Table
#define GPT2_TIER_NAME "avx512bf16"
#include "kernels/tier.inl"
