// The tier for baseline 64-bit Arm: the shared texts over its own wrapper and tiles. Exports its table and nothing else.
#include "kernels/simd_neon.h"

#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/tables.h"

#include "kernels/product.inl"
#include "kernels/math.inl"
#include "kernels/tile_neon.inl"

#include "kernels/bf16_neon.inl"
#include "kernels/dot_neon.inl"

#include "kernels/prepare.inl"
#include "kernels/matmul.inl"

#include "kernels/attention.inl"
#include "kernels/norm.inl"
#include "kernels/rotary.inl"
#include "kernels/probe.inl"

namespace gpt2 {

const KernelTable kNeonTable = {"neon", prepare_row, matmul, layer_norm, rms_norm,
                                rotate, attention, store_kv, probe_read, probe_peak};

}  // namespace gpt2
