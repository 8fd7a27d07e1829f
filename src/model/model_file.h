// Reading a `.gpt2` file: a valid safetensors file whose tensors lie as the kernels want them (schema.h). Parsing takes
// bytes, not a file; everything is checked before anything is used, nothing is copied, and the cost does not grow with
// the weights or the vocabulary (a draft's list of tokens apart).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/model/config.h"
#include "src/model/schema.h"
#include "src/model/weights.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// One tensor as it lies in the file.
struct StoredTensor {
  TensorSpec spec;  // with the arrangement that the file has (qkv or qkv_scaled)
  DType dtype = DType::f32;
  std::span<const std::byte> data;  // all stored bytes; a table's first spec.rows bytes count, the rest is padding
  uint64_t xxh3 = 0;                // of `data`, as the file says
};

// Views into the bytes that were parsed.
struct ModelFile {
  Config config;
  Weights weights;
  TokenizerTables tokenizer;
  std::vector<StoredTensor> tensors;  // the schema's, the tokenizer's, a draft's ids
  std::string source;                 // where the converter found it
  TokenRoles roles;                   // those that the file says
  std::string chat_template;          // Jinja, as the checkpoint had it; empty: none
  uint64_t header_hash = 0;           // identifies the file
  uint64_t tokenizer_hash = 0;
};

// Returns views into `bytes`, which starts on a 64-byte boundary (mapped, or an AlignedBuffer) and outlives the result;
// `path` is for messages. Throws Error (exit 3) naming the item.
ModelFile parse_model_file(std::span<const std::byte> bytes, std::string_view path);

// Compares every tensor with its checksum; throws Error (exit 3) naming the first that differs.
void verify_checksums(const ModelFile& file, std::string_view path);

// The values that the kernels compute with, as the checkpoint had them: [rows, cols] row-major over logical outputs
// (heads and panels without their padding, q without the folded scale), and the bias [rows] (empty if it has none).
struct LogicalTensor {
  std::vector<float> values, bias;
};
LogicalTensor read_tensor(const StoredTensor& tensor, const Config& config);

}  // namespace gpt2
