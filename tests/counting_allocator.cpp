#include "tests/counting_allocator.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace gpt2::test {
namespace {

std::atomic<size_t> count{0};

void* counted(size_t size) noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size > 0 ? size : 1);
}

}  // namespace

size_t allocations() { return count.load(); }

void* count_and_allocate(size_t size) {
  void* memory = counted(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* count_and_try(size_t size) noexcept { return counted(size); }

}  // namespace gpt2::test

void* operator new(size_t size) { return gpt2::test::count_and_allocate(size); }
void* operator new[](size_t size) { return gpt2::test::count_and_allocate(size); }
// Without these AddressSanitizer would give memory of its own to the deletes below.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return gpt2::test::count_and_try(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return gpt2::test::count_and_try(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
