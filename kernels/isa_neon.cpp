// The tier for baseline 64-bit Arm.
#include "kernels/simd_neon.h"

#define GPT2_TILE "kernels/tile_neon.inl"
#define GPT2_BF16 "kernels/bf16_neon.inl"
#define GPT2_DOT "kernels/dot_neon.inl"
#define GPT2_TABLE kNeonTable
#define GPT2_TIER_NAME "neon"
#include "kernels/tier.inl"
