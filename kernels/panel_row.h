// One row of a panel at a time, for those who bring packed matrices into other formats: its values or its codes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

namespace gpt2 {

// Writes the values of a row as the kernels use them, n_cols of them; `lane` is its place in the panel.
void unpack_row(DType dtype, const unsigned char* panel, size_t n_cols, size_t lane, float* values) noexcept;
// Returns its bias.
float panel_bias(const unsigned char* panel, size_t lane) noexcept;
// Writes the signed codes [padded_k] and the f16 scales [groups] of a row of a type that has them.
void unpack_codes(DType dtype, const unsigned char* panel, size_t n_cols, size_t lane, int8_t* codes,
                  uint16_t* scales) noexcept;

// Puts a row of signed codes [padded_k] and f16 scales [groups] into its place of a panel that is zeros there; -8..7
// for int4, -127..127 for int8, -128..127 for int8g32.
void pack_codes(DType dtype, const int8_t* codes, const uint16_t* scales, size_t n_cols, size_t lane,
                unsigned char* panel) noexcept;

}  // namespace gpt2
