// The avxvnni tier spelt with AVX-512 VL, so that its text is tested on machines without AVX-VNNI.
#include "kernels/simd_avx2.h"

#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/tables.h"

#define GPT2_DPBUSD _mm256_dpbusd_epi32
#include "kernels/product.inl"
#include "kernels/math.inl"
#include "kernels/tile_avx2.inl"

#include "kernels/bf16_fma.inl"
#include "kernels/dot_avxvnni.inl"

#include "kernels/prepare.inl"
#include "kernels/matmul.inl"

#include "kernels/attention.inl"
#include "kernels/norm.inl"
#include "kernels/rotary.inl"
#include "kernels/probe.inl"

namespace gpt2 {

extern const KernelTable kAvxVnniSisterTable;
const KernelTable kAvxVnniSisterTable = {"avxvnni (sister)", prepare_row, matmul,   layer_norm, rms_norm,
                                         rotate,             attention,   store_kv, probe_read, probe_peak};

}  // namespace gpt2
