// A file that appears under its final name whole or not at all: a new file in the same folder, written, synced, named.
// The new file has no name while it is written where the file system offers that, so that not even SIGKILL leaves it
// behind.
#pragma once

#include <string>
#include <vector>

#include "src/io/byte_sink.h"
#include "src/io/output_path.h"

namespace gpt2 {

// Returns a name that nothing has in the folder of `path`, for what will be renamed to it.
std::string temporary_name(const std::string& path);

enum class Overwrite { refuse, replace };

class OutputFile final : public ByteSink {
 public:
  // Opens the new file in the folder of what `path` leads to (output_path.h). Throws Error: exit 1; exit 2 if it is one
  // of `inputs`, no regular file, or there and Overwrite::refuse, saying --force.
  OutputFile(const std::string& path, Overwrite overwrite, const InputFiles& inputs);
  OutputFile(const OutputFile&) = delete;
  ~OutputFile() override;  // without commit() nothing is left behind

  void resize(uint64_t size) override;  // reserves the space: a full disk is noticed here
  void write(uint64_t offset, std::span<const std::byte> data) override;
  // Syncs the data, gives it the final name, syncs the folder.
  void commit();
  // Returns the name that the new file has meanwhile; empty if it has none.
  const std::string& name_meanwhile() const noexcept { return temporary_; }
  // Returns the files in the folder that killed runs for this name left behind, or that other runs are writing: on a
  // network folder that cannot be known, so they are reported and not removed.
  std::vector<std::string> leftovers() const;

 private:
  int name_file();     // 0, or -1 and errno
  int link_replacing();

  std::string name_, path_, temporary_;  // as the caller says; behind links; the new file's
  Overwrite overwrite_;
  int fd_ = -1;
};

}  // namespace gpt2
