// The targets that make a model of their input and run it.
#pragma once

#include "tests/fuzz/targets.h"

namespace gpt2::fuzz {

extern const Target kModelFileTarget;  // a .gpt2
extern const Target kExportTarget;     // a .gpt2 that becomes foreign files
extern const Target kGgufModelTarget;  // a GGUF that is converted

}  // namespace gpt2::fuzz
