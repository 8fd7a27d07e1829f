#include "src/io/output_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

constexpr size_t kMostName = 200;  // bytes of the final name in a temporary one, so that it stays below NAME_MAX
constexpr int kTries = 100;

// What the temporary names for a path begin with.
std::string temporary_prefix(const std::string& path) {
  return "." + name_in_folder(path).substr(0, kMostName) + ".tmp.";
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

}  // namespace

// A process number would name the same file in two containers that share a folder.
std::string temporary_name(const std::string& path) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) fail_errno("getrandom", "draw a name", errno);
  return folder_of(path) + "/" + temporary_prefix(path) + hex64(random);
}

OutputFile::OutputFile(const std::string& path, Overwrite overwrite, const InputFiles& inputs)
    : name_(path), overwrite_(overwrite) {
  const OutputPath target = output_path(path, inputs);
  struct stat info = {};
  if (target.kind != OutputPath::Kind::absent && (lstat(target.path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))) {
    fail(ExitCode::usage,
         printable(path, 400) + ": expected a regular file or a new name, found " + kind_of_file(target.mode));
  }
  if (target.kind == OutputPath::Kind::regular && overwrite == Overwrite::refuse) fail_exists(path);
  path_ = target.path;
  fd_ = open_unnamed(folder_of(path_));
  for (int i = 0; fd_ < 0 && i < kTries; ++i) {
    temporary_ = temporary_name(path_);
    fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno != EEXIST) break;
  }
  if (fd_ < 0) fail_path(path, "write", errno);
  // What replaces a file is as private as the file was; where the owner differs that may be impossible.
  if (target.kind == OutputPath::Kind::regular && fchmod(fd_, target.mode & 0777) != 0 && errno != EPERM) {
    const int error = errno;
    close(fd_);
    if (!temporary_.empty()) unlink(temporary_.c_str());
    fail_errno(path, "write", error);
  }
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
  if (error != 0) fail_errno(name_, "reserve " + std::to_string(size) + " bytes", error);
}

void OutputFile::write(uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_errno(name_, "write", written < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
}

// A link cannot replace, a rename can: the unnamed file gets a name between.
int OutputFile::link_replacing() {
  std::string between;
  int linked = -1;
  for (int i = 0; linked != 0 && i < kTries; ++i) {
    between = temporary_name(path_);
    linked = link_unnamed(fd_, between.c_str());
    if (linked != 0 && errno != EEXIST) return -1;
  }
  if (linked != 0) return -1;
  if (rename(between.c_str(), path_.c_str()) == 0) return 0;
  const int error = errno;
  unlink(between.c_str());
  errno = error;
  return -1;
}

int OutputFile::name_file() {
  if (overwrite_ == Overwrite::refuse) {
    return temporary_.empty() ? link_unnamed(fd_, path_.c_str()) : rename_new(temporary_.c_str(), path_.c_str());
  }
  struct stat info = {};
  if (lstat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {  // since the file was opened
    fail(ExitCode::usage,
         printable(name_, 400) + ": expected a regular file or a new name, found another that came meanwhile");
  }
  return temporary_.empty() ? link_replacing() : rename(temporary_.c_str(), path_.c_str());
}

void OutputFile::commit() {
  if (fsync(fd_) != 0) fail_errno(name_, "sync", errno);
  if (name_file() != 0) {
    if (errno == EEXIST) fail_exists(name_);
    fail_errno(name_, "give the new file this name", errno);
  }
  const int fd = fd_;
  fd_ = -1;  // the file has its name: nothing to remove from here on
  if (close(fd) != 0) fail_errno(name_, "close", errno);
  const FileDescriptor folder(open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) fail_errno(folder_of(path_), "sync the folder", errno);
}

std::vector<std::string> OutputFile::leftovers() const {
  std::vector<std::string> found;
  const std::string prefix = temporary_prefix(path_), own = name_in_folder(temporary_);
  const std::string folder = folder_of(path_);
  for (const std::string& name : names_in_folder(folder)) {
    if (name.starts_with(prefix) && name != own) found.push_back(folder + "/" + name);
  }
  return found;
}

}  // namespace gpt2
