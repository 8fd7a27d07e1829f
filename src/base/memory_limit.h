// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace gpt2 {

// Bytes: the least of what the system has available, what the cgroups (version 1 and 2) leave and RLIMIT_AS; at least
// 64 MiB.
uint64_t available_memory();

}  // namespace gpt2
