// The safetensors format: 8 bytes of header length (little-endian), a JSON header, data. Reading takes bytes, not a
// file, checks everything before anything is used, and knows no tensor's meaning. Format:
// https://github.com/huggingface/safetensors (README, "Format").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpt2 {

struct TensorInfo {
  std::string name;
  std::string dtype;            // as in the file: "F32", "F16", "BF16", "U8", ...
  std::vector<uint64_t> shape;  // rank 0..8; the product of the dimensions times the item size is end - begin
  uint64_t begin = 0, end = 0;  // bytes from the start of the file (not of the data), begin <= end <= file size
};

struct SafetensorsFile {
  std::vector<std::pair<std::string, std::string>> metadata;  // in file order
  std::vector<TensorInfo> tensors;                            // in order of their data
  uint64_t data_begin = 0;                                    // first byte after the header

  const TensorInfo* find(std::string_view name) const;
  // Returns the value of a key, nullptr if it is absent.
  const std::string* metadata_value(std::string_view key) const;
};

// Parses and validates a whole file held in `bytes`; `path` is for messages. Throws Error (exit 3) that names the item:
// length 8..100,000,000 inside the file, starts with '{', JSON (no duplicate keys, depth), dtype known, shape x item
// size without overflow = the offsets' distance, data contiguous from 0 without hole or overlap, ending at the end of
// the file.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::string_view path);

// Returns the header of a file with these tensors (begin/end are taken as offsets from the start of the data), padded
// with spaces so that the data begins on a multiple of `alignment` (a multiple of 8), and at least `min_bytes` long.
// Includes the 8 length bytes.
std::string safetensors_header(const std::vector<std::pair<std::string, std::string>>& metadata,
                               std::span<const TensorInfo> tensors, uint64_t alignment, uint64_t min_bytes = 0);

// Returns the bytes of one element, 0 for an unknown dtype.
uint64_t safetensors_item_size(std::string_view dtype);

}  // namespace gpt2
