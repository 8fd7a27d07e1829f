// The values of GGUF's block types. Definitions, one loop each, with the same roundings as the reference in numpy (the
// package `gguf`): f32 arithmetic, products before differences, no fma. Block layouts:
// https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h
#pragma once

#include <cstddef>
#include <span>

#include "src/io/gguf.h"

namespace gpt2 {

// Whether decode_blocks knows the type: F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL,
// IQ4_XS.
bool can_decode(GgufType type);

// Writes the values of whole blocks: out.size() is a multiple of the block's weights, and `blocks` holds as many
// blocks. Requires can_decode(type).
void decode_blocks(GgufType type, std::span<const std::byte> blocks, std::span<float> out);

// Blocks of 32 weights that are codes times one f16 scale.
struct ScaledCodes {
  static constexpr size_t kWeights = 32;
  uint16_t scale = 0;  // f16
  int8_t codes[kWeights] = {};
};
// Whether a type's blocks are that: Q4_0 (codes -8..7), Q5_0 (-16..15), IQ4_NL (-127..113), Q8_0 (-128..127).
bool has_scaled_codes(GgufType type);
// The block at `block`. Requires has_scaled_codes(type).
ScaledCodes scaled_codes(GgufType type, const std::byte* block);

}  // namespace gpt2
