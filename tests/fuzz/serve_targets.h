// The targets that read what clients send.
#pragma once

#include "tests/fuzz/targets.h"

namespace gpt2::fuzz {

extern const Target kHttpTarget;    // what comes on a connection
extern const Target kOpenAiTarget;  // the body of a completion
extern const Target kKserveTarget;  // the body of an inference, with its binary tensors

}  // namespace gpt2::fuzz
