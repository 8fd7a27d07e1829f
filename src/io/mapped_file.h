// A regular file mapped read-only. Opened once (no re-open by path); a FIFO, a directory or a device is refused without
// blocking.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gpt2 {

class MappedFile {
 public:
  // Throws Error: exit 3 if the file is missing, unreadable, not regular or empty ("PATH: ...").
  static MappedFile open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile();

  // Valid as long as this object lives (moves keep it valid).
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const std::string& path() const noexcept { return path_; }
  // Tells the kernel that [offset, offset+size) will not be read again soon (keeps a converter's memory small).
  void drop(size_t offset, size_t size) const noexcept;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// The printable path of the mapped file in which this address lies, nullptr if there is none (or more than 1024 files are mapped).
// For a signal handler: it takes no lock and no memory. The text stays until that file is unmapped.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace gpt2
