// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace gpt2 {

// Returns bytes: the least of what the system has, the cgroups (version 1 and 2) leave and RLIMIT_AS allows, but at
// least 64 MiB.
uint64_t available_memory();

}  // namespace gpt2
