// The log-probabilities of a prompt's own tokens, which are the result where no token is generated (-n 0 --logprobs).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/engine/engine.h"
#include "src/measure/evaluation.h"
#include "tools/request_arguments.h"

namespace gpt2 {

// Returns the prompt's scores if `arguments` ask for them, else none: with the engine's model, arithmetic and threads.
// Throws Error (exit 3) for logits that are not finite.
std::vector<TokenScore> prompt_logprobs(const Engine& engine, const RequestArguments& arguments,
                                        std::span<const int32_t> prompt);

}  // namespace gpt2
