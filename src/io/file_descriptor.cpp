#include "src/io/file_descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>

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

// Whether the process, and not the file, is what an error number speaks of.
bool ran_out(int error_number) noexcept {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM;
}

std::string reason_of(const std::string& path, int error_number) {
  const std::string reason = std::strerror(error_number);
  char target[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  if (length < 0 || (error_number != ENOENT && error_number != ELOOP)) return reason;
  return reason + " (a symbolic link to " + printable({target, static_cast<size_t>(length)}) + ")";
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
  if (file.get() < 0 || fstat(file.get(), &info) != 0) {
    const int error = errno;
    if (ran_out(error)) fail_path(path, "open", error);
    fail_model(path, "file", "a readable file", reason_of(path, error));
  }
  if (!S_ISREG(info.st_mode)) fail_model(path, "file", "a regular file", kind_of_file(info.st_mode));
  return file;
}

void fail_path(const std::string& path, std::string_view action, int error_number) {
  fail(ExitCode::internal,
       printable(path, 400) + ": cannot " + std::string(action) + ": " + reason_of(path, error_number));
}

std::vector<std::string> names_in_folder(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  if (ran_out(error.value())) fail_path(directory, "list the folder", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace gpt2
