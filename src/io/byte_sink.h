// Where a converter writes: positions may be written in any order. Two kinds: memory, and a file that appears whole or
// not at all (output_file.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/aligned_buffer.h"

namespace gpt2 {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Announces the final size in bytes; called once, before the first write.
  virtual void resize(uint64_t size) = 0;
  // Writes at `offset`; offset + data.size() is at most the announced size.
  virtual void write(uint64_t offset, std::span<const std::byte> data) = 0;
};

// Memory on a 64-byte boundary.
class MemorySink final : public ByteSink {
 public:
  void resize(uint64_t size) override { bytes_ = AlignedBuffer<std::byte>(size); }
  void write(uint64_t offset, std::span<const std::byte> data) override {
    GPT2_CHECK(offset <= bytes_.size() && data.size() <= bytes_.size() - offset);
    if (!data.empty()) std::memcpy(bytes_.data() + offset, data.data(), data.size());
  }
  AlignedBuffer<std::byte> take() { return std::move(bytes_); }

 private:
  AlignedBuffer<std::byte> bytes_;
};

}  // namespace gpt2
