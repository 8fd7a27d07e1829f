#include "src/io/output_directory.h"

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

[[noreturn]] void fail_exists(const std::string& path) {
  fail(ExitCode::usage, printable(path, 400) + ": exists already; a directory is never replaced");
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

void sync_folder(const std::string& path) {
  const FileDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) fail_errno(path, "sync the folder", errno);
}

}  // namespace

OutputDirectory::OutputDirectory(const std::string& path) : path_(without_slashes(path)) {
  struct stat info;
  if (lstat(path_.c_str(), &info) == 0) fail_exists(path_);
  temporary_ = temporary_name(path_);
  if (mkdir(temporary_.c_str(), 0777) != 0) fail_errno(path_, "make a new directory beside it", errno);
}

OutputDirectory::~OutputDirectory() {
  if (committed_) return;
  for (const std::string& name : names_) unlink((temporary_ + "/" + name).c_str());
  rmdir(temporary_.c_str());
}

std::unique_ptr<OutputFile> OutputDirectory::file(const std::string& name) {
  names_.push_back(name);
  return std::make_unique<OutputFile>(temporary_ + "/" + name, Overwrite::refuse, InputFiles());
}

void OutputDirectory::write(const std::string& name, std::string_view text) {
  const std::unique_ptr<OutputFile> out = file(name);
  out->resize(text.size());
  out->write(0, std::as_bytes(std::span(text.data(), text.size())));
  out->commit();
}

void OutputDirectory::commit() {
  sync_folder(temporary_);
  int result = renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) result = rename(temporary_.c_str(), path_.c_str());
  if (result != 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)) fail_exists(path_);
  if (result != 0) fail_errno(path_, "name the new directory", errno);
  committed_ = true;
  sync_folder(folder_of(path_));
}

}  // namespace gpt2
