// The tier for Arm with the dot product instructions.
#include "kernels/simd_neon.h"

#define GPT2_TILE "kernels/tile_neon.inl"
#define GPT2_BF16 "kernels/bf16_neon.inl"
#define GPT2_DOT "kernels/dot_dotprod.inl"
#define GPT2_TABLE kDotprodTable
#define GPT2_TIER_NAME "dotprod"
#include "kernels/tier.inl"
