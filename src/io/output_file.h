// A file that appears under its final name whole or not at all: a new file in the same folder, written, synced, named. The
// new file has no name while it is written where the file system offers that, so that not even SIGKILL leaves it behind.
#pragma once

#include <string>

#include "src/io/byte_sink.h"

namespace gpt2 {

enum class Overwrite { refuse, replace };

class OutputFile final : public ByteSink {
 public:
  // Opens the new file in the folder of `path`. Throws Error (exit 1; exit 2 if `path` exists and Overwrite::refuse, saying --force).
  OutputFile(const std::string& path, Overwrite overwrite);
  OutputFile(const OutputFile&) = delete;
  ~OutputFile() override;  // without commit() nothing is left behind

  void resize(uint64_t size) override;  // reserves the space: a full disk is noticed here
  void write(uint64_t offset, std::span<const std::byte> data) override;
  // Syncs the data, gives it the final name, syncs the folder.
  void commit();
  // The name that the new file has meanwhile; empty if it has none.
  const std::string& name_meanwhile() const noexcept { return temporary_; }

 private:
  int name_file();  // 0, or -1 and errno

  std::string path_, temporary_;
  Overwrite overwrite_;
  int fd_ = -1;
};

}  // namespace gpt2
