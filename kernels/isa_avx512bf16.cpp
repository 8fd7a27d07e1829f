// The tier for AVX-512 with VNNI and BF16: the shared texts over its own wrapper and tiles. Exports its table and nothing else.
#include "kernels/simd_avx512.h"

#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/tables.h"

#include "kernels/product.inl"
#include "kernels/math.inl"
#include "kernels/tile_avx512.inl"

#include "kernels/bf16_dot_avx512.inl"
#include "kernels/dot_avx512vnni.inl"

#include "kernels/prepare.inl"
#include "kernels/matmul.inl"

#include "kernels/attention.inl"
#include "kernels/norm.inl"
#include "kernels/rotary.inl"
#include "kernels/probe.inl"

namespace gpt2 {

const KernelTable kAvx512Bf16Table = {"avx512bf16", prepare_row, matmul, layer_norm, rms_norm,
                                      rotate, attention, store_kv, probe_read, probe_peak};

}  // namespace gpt2
