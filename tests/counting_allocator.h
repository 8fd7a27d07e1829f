// How often operator new has been called in this process (counting_allocator.cpp replaces it).
#pragma once

#include <cstddef>

namespace gpt2::test {

size_t allocations();

}  // namespace gpt2::test
