#include "src/io/output_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return folder_of(path) + "/." + name + ".tmp." + std::to_string(getpid());
}

[[noreturn]] void fail_exists(const std::string& path) {
  fail(ExitCode::usage, printable(path, 400) + ": exists already; --force replaces it");
}

// Renames without replacing; where the file system cannot, a hard link does the same.
int rename_new(const char* from, const char* to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  return link(from, to) == 0 ? unlink(from) : -1;
}

// A new file without a name, -1 where the file system cannot or where /proc, by which it gets its name, is missing.
int open_unnamed(const std::string& folder) {
  if (access("/proc/self/fd", X_OK) != 0) return -1;
  return open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
}

// Names an unnamed file; fails if the name is taken.
int link_unnamed(int fd, const char* path) {
  return linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

// The same in the place of what has the name: a link cannot replace, a rename can.
int link_replacing(int fd, const char* path, const char* between) {
  unlink(between);
  if (link_unnamed(fd, between) != 0) return -1;
  if (rename(between, path) == 0) return 0;
  const int error = errno;
  unlink(between);
  errno = error;
  return -1;
}

}  // namespace

OutputFile::OutputFile(const std::string& path, Overwrite overwrite)
    : path_(path), overwrite_(overwrite) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) fail_errno(path, "write", EISDIR);
    if (overwrite == Overwrite::refuse) fail_exists(path);
  }
  fd_ = open_unnamed(folder_of(path));
  if (fd_ >= 0) return;
  temporary_ = temporary_name(path);
  unlink(temporary_.c_str());  // a process of this number that was killed
  fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno(path_, "write", errno);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::resize(uint64_t size) {
  const auto length = static_cast<off_t>(size);
  int error = 0;
  do {
    error = posix_fallocate(fd_, 0, length);
  } while (error == EINTR);
  if (error == EOPNOTSUPP || error == EINVAL) error = ftruncate(fd_, length) == 0 ? 0 : errno;
  if (error != 0) fail_errno(path_, "reserve " + std::to_string(size) + " bytes", error);
}

void OutputFile::write(uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_errno(path_, "write", written < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
}

int OutputFile::name_file() {
  const bool replace = overwrite_ == Overwrite::replace;
  if (temporary_.empty()) {
    return replace ? link_replacing(fd_, path_.c_str(), temporary_name(path_).c_str()) : link_unnamed(fd_, path_.c_str());
  }
  return replace ? rename(temporary_.c_str(), path_.c_str()) : rename_new(temporary_.c_str(), path_.c_str());
}

void OutputFile::commit() {
  if (fsync(fd_) != 0) fail_errno(path_, "sync", errno);
  if (name_file() != 0) {
    if (errno == EEXIST) fail_exists(path_);
    fail_errno(path_, "give the new file this name", errno);
  }
  const int fd = fd_;
  fd_ = -1;  // the file has its name: nothing to remove from here on
  if (close(fd) != 0) fail_errno(path_, "close", errno);
  const FileDescriptor folder(open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) fail_errno(folder_of(path_), "sync the folder", errno);
}

}  // namespace gpt2
