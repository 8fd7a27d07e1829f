// Which row of a checkpoint's tensor is which logical row of ours, and back (architecture.h has the moves).
#pragma once

#include <cstdint>

#include "src/convert/architecture.h"
#include "src/model/config.h"

namespace gpt2 {

struct RowRange {
  uint64_t begin = 0, count = 0;
};
// Returns the rows of a part of a tensor of ours that has `rows`.
RowRange rows_of(Part part, const Config& config, uint64_t rows);

// Returns which row of their tensor is row `row` of the part.
uint64_t their_row(Move move, const Config& config, uint64_t row);
// Returns which row of the part their row is, the way back; skip_two's first two rows are none and not asked for.
uint64_t our_row(Move move, const Config& config, uint64_t row);

}  // namespace gpt2
