// The tier for Arm with the 8-bit matrix and the bf16 instructions.
#include "kernels/simd_neon.h"

#define GPT2_TILE "kernels/tile_neon.inl"
#define GPT2_BF16 "kernels/bf16_dot_neon.inl"
#define GPT2_DOT "kernels/dot_i8mm.inl"
#define GPT2_TABLE kI8mmTable
#define GPT2_TIER_NAME "i8mm"
#include "kernels/tier.inl"
