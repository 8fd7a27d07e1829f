#include "src/io/file_descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "src/base/error.h"

namespace gpt2 {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

namespace {

// Whether a call that failed is to be tried again; waits until it can go on.
bool can_go_on(int fd, short events) noexcept {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd waited = {fd, events, 0};
  return poll(&waited, 1, -1) >= 0 || errno == EINTR;
}

}  // namespace

const char* kind_of_file(mode_t mode) noexcept {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

ssize_t read_stream(int fd, void* data, size_t size) noexcept {
  for (;;) {
    const ssize_t n = read(fd, data, size);
    if (n >= 0 || !can_go_on(fd, POLLIN)) return n;
  }
}

int write_stream(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    if (n == 0) return ENOSPC;
    if (n < 0 && !can_go_on(fd, POLLOUT)) return errno;
  }
  return 0;
}

FileDescriptor open_regular(const std::string& path, struct stat& info) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 || fstat(file.get(), &info) != 0)
    fail_model(path, "file", "a readable file", std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail_model(path, "file", "a regular file", kind_of_file(info.st_mode));
  return file;
}

}  // namespace gpt2
