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

  // Opens DIR: model.safetensors, or the shards of model.safetensors.index.json (no tensor in another shard than the
  // index says, no file name with a path), or the one file *.safetensors that is there. A tensor that the index has and
  // the shards do not is no error: who needs it will miss it. Throws Error, exit 3; a directory that holds something
  // else gets a message that says what.
  static Checkpoint open(const std::string& directory);

  const std::string& directory() const noexcept { return directory_; }
  const std::vector<Tensor>& tensors() const noexcept { return tensors_; }
  const Tensor* find(std::string_view name) const;
  // Returns the path of the file that holds the tensor, for messages.
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

// Throws Error (exit 3) that says what `directory` is, if that is known not to be a checkpoint directory: one file of
// one or of another format, an adapter.
void check_is_checkpoint(const std::string& directory);

// Reads a whole small text file (config.json, vocab.json, ...) of at most `limit` bytes, without a byte order mark;
// exit 3 if it is missing, larger, not a regular file or something else that is known (foreign_format.h).
std::string read_text_file(const std::string& path, uint64_t limit);
// Returns whether something has this name, also a link that leads nowhere or what may not be looked at: opening it says
// why.
bool file_exists(const std::string& path);
bool is_directory(const std::string& path);
bool is_regular_file(const std::string& path);

}  // namespace gpt2
