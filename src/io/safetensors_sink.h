// Writes a safetensors file whose tensors' shapes are known before their values: the header first, then the values in
// any order and in pieces.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/io/byte_sink.h"
#include "src/io/safetensors.h"

namespace gpt2 {

class SafetensorsSink {
 public:
  // Writes the header. `tensors` have name, dtype and shape; their data stand in this order, each on 64 bytes where the
  // sizes before it are multiples of that. `sink` outlives this object.
  SafetensorsSink(ByteSink& sink, std::vector<TensorInfo> tensors,
                  const std::vector<std::pair<std::string, std::string>>& metadata = {});

  // Writes values of tensor number `tensor` from its element `first` on. They lie inside of it (GPT2_CHECK).
  void write(size_t tensor, uint64_t first, std::span<const float> values);
  void write(size_t tensor, uint64_t first, std::span<const int32_t> values);

 private:
  void write_bytes(size_t tensor, uint64_t offset, std::span<const std::byte> data);

  ByteSink& sink_;
  std::vector<TensorInfo> tensors_;
  uint64_t data_begin_ = 0;
};

}  // namespace gpt2
