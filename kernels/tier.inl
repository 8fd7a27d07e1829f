// A tier's object: the shared texts over its own wrapper and tiles. The tier's file (isa_*.cpp) includes its wrapper
// and names its texts of the register tile, of bf16 and of the integer dot products, its table and its GPT2_ISA name.
// Exports the table and nothing else.
#include "kernels/kernels.h"
#include "kernels/math_constants.h"
#include "kernels/tables.h"

#include "kernels/product.inl"
#include "kernels/math.inl"
#include GPT2_TILE

#include GPT2_BF16
#include GPT2_DOT

#include "kernels/prepare.inl"
#include "kernels/matmul.inl"

#include "kernels/attention.inl"
#include "kernels/norm.inl"
#include "kernels/rotary.inl"
#include "kernels/probe.inl"

namespace gpt2 {

const KernelTable GPT2_TABLE = {GPT2_TIER_NAME, prepare_row, matmul,   layer_norm, rms_norm,  rotate,
                                attention,      store_kv,    probe_read, probe_peak, probe_text};

}  // namespace gpt2
