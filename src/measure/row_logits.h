// The logits of every token of a text, row by row, from the engine: no more of them are in memory than a step computes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "src/engine/engine.h"

namespace gpt2 {

// Calls body(i, logits after token i [n_vocab]) for each of the 1 .. n_ctx tokens. The batch has a free slot. Throws
// Error (exit 3) where a logit is not finite.
void each_row_logits(Engine& engine, std::span<const int32_t> tokens,
                     const std::function<void(size_t row, std::span<const float> logits)>& body);

}  // namespace gpt2
