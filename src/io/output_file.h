// A file that appears under its final name whole or not at all: a new file in the same folder, written, synced, renamed.
#pragma once

#include <string>

#include "src/io/byte_sink.h"

namespace gpt2 {

enum class Overwrite { refuse, replace };

class OutputFile final : public ByteSink {
 public:
  // Opens the new file beside `path`. Throws Error (exit 1; exit 2 if `path` exists and Overwrite::refuse, saying --force).
  OutputFile(const std::string& path, Overwrite overwrite);
  OutputFile(const OutputFile&) = delete;
  ~OutputFile() override;  // without commit() nothing is left behind

  void resize(uint64_t size) override;  // reserves the space: a full disk is noticed here
  void write(uint64_t offset, std::span<const std::byte> data) override;
  // Syncs the data, renames to the final name, syncs the folder.
  void commit();

 private:
  std::string path_, temporary_;
  Overwrite overwrite_;
  int fd_ = -1;
};

}  // namespace gpt2
