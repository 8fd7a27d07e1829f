// The tensors of a source as conversion sees them: by name, each in some type and shape, read as floats. Names are
// those of the architecture: what wrappers put before them has been taken off, here and nowhere else. Knows no tensor's
// meaning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/checkpoint.h"
#include "src/io/gguf.h"
#include "src/io/mapped_file.h"

namespace gpt2 {

struct NamedTensor {
  std::string full_name;  // as the file has it, for messages
  std::string file;
  std::string dtype;      // the format's word
  std::vector<uint64_t> shape;
  std::span<const std::byte> data;  // mapped; any alignment
  std::function<void()> drop;       // lets the kernel take its pages back
  std::optional<GgufType> blocks = {};  // of GGUF's types, the ones that are stored in blocks

  bool is_float() const noexcept;  // F64, F32, F16, BF16, or blocks that can be decoded
  uint64_t size() const noexcept;  // elements
  // Elements [first, first + count) as float; F64 is rounded to nearest even. Requires is_float().
  void read(uint64_t first, uint64_t count, float* out) const;

 private:
  void read_blocks(uint64_t first, uint64_t count, float* out) const;
};

// Whether both have the same shape and, element by element, the same floats (of whatever types; a NaN is like any NaN).
bool same_values(const NamedTensor& a, const NamedTensor& b);

class NamedTensors {
 public:
  // Takes wrappers' prefixes off ("module.", "_orig_mod.", "base_model.", "base_model.model.", in any number) and then
  // the architecture's own (`prefix`, "transformer."). Views `checkpoint`. Throws Error (exit 3) where two tensors get
  // one name, or where they are those of an adapter beside its base.
  NamedTensors(const Checkpoint& checkpoint, std::string_view prefix);
  // Takes the names as they are. Views `gguf`, whose bytes are those of `mapped`. Throws Error (exit 3) that names a
  // tensor of a type that is not decoded.
  NamedTensors(const GgufFile& gguf, const MappedFile& mapped);

  const NamedTensor* find(std::string_view name) const;
  const std::map<std::string, NamedTensor, std::less<>>& all() const noexcept { return tensors_; }
  const std::string& origin() const noexcept { return origin_; }  // the directory or the file, for messages
  // Gives a tensor another name, which must be free.
  void rename(std::string_view from, std::string to);

 private:
  std::string origin_;
  std::map<std::string, NamedTensor, std::less<>> tensors_;
};

std::string shape_text(const std::vector<uint64_t>& shape);  // "[3, 4]"

}  // namespace gpt2
