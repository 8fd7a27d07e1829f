// A model that is ready to run: the bytes of a `.gpt2` file, wherever they are, and the views into them. Immutable.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "src/base/aligned_buffer.h"
#include "src/io/mapped_file.h"
#include "src/model/model_file.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

class Model {
 public:
  // Maps a file. Throws Error (exit 3).
  static Model open(const std::string& path);
  // Takes over memory that holds a file. Throws Error (exit 3).
  static Model from_memory(AlignedBuffer<std::byte> bytes, std::string name);
  // Views memory that outlives the model (the built-in one), on a 64-byte boundary. Throws Error (exit 3).
  static Model view(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const noexcept { return name_; }  // the path, or what the caller called it
  const Config& config() const noexcept { return file_.config; }
  const Weights& weights() const noexcept { return file_.weights; }
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const ModelFile& file() const noexcept { return file_; }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }

  // Throws Error (exit 3) if the file behind it has been written to since it was opened.
  void check_unchanged() const;

  bool is_eos(TokenId id) const noexcept;
  // Returns the token that has the role, -1 if none has: the file's, else by its text (role_by_text).
  TokenId token_of(TokenRole role) const;

 private:
  Model() = default;
  void parse();

  std::string name_;
  std::optional<MappedFile> mapped_;
  AlignedBuffer<std::byte> memory_;
  std::span<const std::byte> bytes_;
  ModelFile file_;
  std::optional<Tokenizer> tokenizer_;
};

}  // namespace gpt2
