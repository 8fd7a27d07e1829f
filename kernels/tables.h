// The one symbol that each tier's object exports. A table whose tier is not built for this architecture does not exist;
// only dispatch.cpp names them.
#pragma once

#include "kernels/kernels.h"

namespace gpt2 {

extern const KernelTable kScalarTable;
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;
extern const KernelTable kAvxVnniTable;
extern const KernelTable kAvx512Table;
extern const KernelTable kAvx512VnniTable;
extern const KernelTable kAvx512Bf16Table;
#elif defined(__aarch64__)
extern const KernelTable kNeonTable;
extern const KernelTable kDotprodTable;
extern const KernelTable kI8mmTable;
#endif

}  // namespace gpt2
