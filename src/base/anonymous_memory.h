// Zeroed memory straight from the operating system: pages come when they are first touched. Move-only.
#pragma once

#include <cstddef>

namespace gpt2 {

class AnonymousMemory {
 public:
  AnonymousMemory() = default;
  // Reserves `size` bytes of address space. Throws std::bad_alloc.
  explicit AnonymousMemory(size_t size);
  AnonymousMemory(AnonymousMemory&& other) noexcept;
  AnonymousMemory& operator=(AnonymousMemory&& other) noexcept;
  ~AnonymousMemory();

  // Asks for large pages, for memory that is read in pieces all over. The system may not give them.
  void prefer_huge_pages() noexcept;

  unsigned char* data() noexcept { return data_; }
  const unsigned char* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }

 private:
  unsigned char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gpt2
