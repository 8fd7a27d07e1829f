// A GGUF file under construction: keys, then tensors; what comes before the data is made in memory, the data is the
// caller's to write. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/gguf.h"

namespace gpt2 {

class GgufWriter {
 public:
  GgufWriter& text(std::string_view key, std::string_view value);
  GgufWriter& u32(std::string_view key, uint32_t value);
  GgufWriter& f32(std::string_view key, float value);
  GgufWriter& flag(std::string_view key, bool value);
  GgufWriter& texts(std::string_view key, std::span<const std::string> values);
  GgufWriter& i32s(std::string_view key, std::span<const int32_t> values);
  GgufWriter& f32s(std::string_view key, std::span<const float> values);
  // `shape` has the outputs first, as checkpoints do, and whole blocks of the type in a row. The name has at most 63
  // bytes. Returns where the tensor's data begins, from the start of the data.
  uint64_t tensor(std::string_view name, std::span<const uint64_t> shape, GgufType type);

  // Returns the file up to the data, padded; its size is where the data begins.
  std::string header() const;
  // Returns the bytes of the data, each tensor padded.
  uint64_t data_bytes() const noexcept { return data_bytes_; }

 private:
  void key(std::string_view name, GgufKind kind);
  void array(std::string_view name, GgufKind kind, uint64_t count);

  std::string entries_, tensors_;
  uint64_t n_entries_ = 0, n_tensors_ = 0, data_bytes_ = 0;
};

}  // namespace gpt2
