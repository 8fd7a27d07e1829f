// A Hugging Face checkpoint directory: which files it has, and its tensors over all shards. Knows no tensor's meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/io/mapped_file.h"
#include "src/io/safetensors.h"

namespace gpt2 {

class Checkpoint {
 public:
  struct Tensor {
    TensorInfo info;
    std::span<const std::byte> data;  // mapped; any alignment
    size_t shard = 0;
  };

  // Opens DIR: model.safetensors, or the shards of model.safetensors.index.json (each tensor in the shard that the index
  // says, none missing, no file name with a path). Throws Error, exit 3; a directory with only pytorch_model.bin gets a
  // message that says how to get safetensors.
  static Checkpoint open(const std::string& directory);

  const std::string& directory() const noexcept { return directory_; }
  const std::vector<Tensor>& tensors() const noexcept { return tensors_; }
  const Tensor* find(std::string_view name) const;
  // The path of the file that holds the tensor, for messages.
  const std::string& file_of(const Tensor& tensor) const;
  // Throws Error (exit 3) if a file has been written to since it was opened.
  void check_unchanged() const;
  // Lets the kernel drop the pages of a tensor that has been converted.
  void drop(const Tensor& tensor) const noexcept;

 private:
  std::string directory_;
  std::vector<MappedFile> shards_;
  std::vector<Tensor> tensors_;  // sorted by name
};

// Reads a whole small file (config.json, vocab.json, ...) of at most `limit` bytes; exit 3 if it is missing, larger or not
// a regular file.
std::string read_text_file(const std::string& path, uint64_t limit);
bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

}  // namespace gpt2
