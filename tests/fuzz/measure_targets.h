// The targets of what an evaluation reads: records of tasks, and logits of other programs.
#pragma once

#include "tests/fuzz/targets.h"

namespace gpt2::fuzz {

extern const Target kTasksTarget;   // JSON records, a line each, as every task
extern const Target kGoldenTarget;  // JSON lines, or safetensors

}  // namespace gpt2::fuzz
