// An open file that closes itself, and how hostile paths are opened.
#pragma once

#include <string>
#include <utility>

struct stat;

namespace gpt2 {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// Opens a regular file for reading without ever blocking, and fills `info`. Anything else (missing, unreadable, a directory,
// FIFO or device) is an Error with exit 3.
FileDescriptor open_regular(const std::string& path, struct stat& info);

}  // namespace gpt2
