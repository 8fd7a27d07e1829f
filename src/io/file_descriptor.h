// An open file that closes itself, and how hostile paths are opened.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// Opens a regular file for reading without ever blocking, and fills `info`. Anything else (missing, unreadable, a
// directory, FIFO or device) is an Error with exit 3; where descriptors or memory ran out, exit 1.
FileDescriptor open_regular(const std::string& path, struct stat& info);

// Throws Error (exit 1) "PATH: cannot ACTION: reason" from errno; the reason names where a symbolic link leads.
[[noreturn]] void fail_path(const std::string& path, std::string_view action, int error_number);

// Returns the names of what is in a directory, sorted; none if it is not there or may not be listed. Throws Error (exit
// 1) if descriptors or memory ran out.
std::vector<std::string> names_in_folder(const std::string& directory);

// Returns "a FIFO", "a directory" and so on.
const char* kind_of_file(mode_t mode) noexcept;

// Read and write streams of any kind: a signal is no end, and where a descriptor does not block (O_NONBLOCK, which
// whoever shares it may have set) they wait for it. `read_stream` returns how many bytes came, 0 at the end, -1 with
// errno for an error; `write_stream` writes all of the bytes and returns 0, or the errno that stopped it.
ssize_t read_stream(int fd, void* data, size_t size) noexcept;
int write_stream(int fd, std::string_view bytes) noexcept;

}  // namespace gpt2
