// A regular file mapped read-only. Opened once (no re-open by path); a FIFO, a directory or a device is refused without
// blocking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "src/io/file_descriptor.h"

namespace gpt2 {

class MappedFile {
 public:
  // Maps the file. Throws Error: exit 3 if it is missing, unreadable, not regular or empty ("PATH: ...").
  static MappedFile open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile();

  // Returns the bytes, valid as long as this object lives (moves keep them valid).
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::string& path() const noexcept { return path_; }
  // Throws Error (exit 3) if the file has been written to since it was opened: what was read from it may be of two
  // files. A file that was given another's name, as a converter does, is still the one that is mapped.
  void check_unchanged() const;
  // Tells the kernel that [offset, offset+size) will not be read again soon (keeps a converter's memory small).
  void drop(size_t offset, size_t size) const noexcept;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
  FileDescriptor file_;
  int64_t changed_s_ = 0, changed_ns_ = 0;  // when it was written to last
};

// Returns the printable path of the mapped file in which this address lies, nullptr if there is none (or more than 1024
// files are mapped). For a signal handler: it takes no lock and no memory. The text stays until that file is unmapped.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace gpt2
