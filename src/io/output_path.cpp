#include "src/io/output_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

constexpr int kMostLinks = 40;  // as the kernel's own limit

// The endings of the files that checkpoints come in. A file beside them with another ending, say a .gpt2 of an earlier
// conversion, is no part of it.
constexpr std::string_view kCheckpointEndings[] = {".json", ".safetensors", ".txt", ".bin", ".model",
                                                   ".gguf", ".jinja",       ".pt",  ".pth"};

bool is_checkpoint_file(const std::string& name) {
  return std::any_of(std::begin(kCheckpointEndings), std::end(kCheckpointEndings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

// The path behind all symbolic links, also where the last leads to nothing yet.
std::string follow_links(const std::string& path) {
  std::string at = path;
  for (int i = 0; i <= kMostLinks; ++i) {
    char target[PATH_MAX];
    const ssize_t length = readlink(at.c_str(), target, sizeof target);
    if (length < 0) return at;
    const std::string next(target, static_cast<size_t>(length));
    at = next.starts_with('/') ? next : folder_of(at) + "/" + next;
  }
  fail_path(path, "write", ELOOP);
}

}  // namespace

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_in_folder(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A terminal or /dev/null is read and written by the same name without harm.
void InputFiles::add_info(const struct stat& info, const std::string& name, std::string_view role) {
  if (S_ISCHR(info.st_mode) || S_ISSOCK(info.st_mode) || S_ISDIR(info.st_mode)) return;
  names_.try_emplace({info.st_dev, info.st_ino}, std::string(role) + " " + printable(name, 400));
}

void InputFiles::add(const std::string& path, std::string_view role) {
  if (path == "-") return add_descriptor(STDIN_FILENO, "stdin", role);
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0) add_info(info, path, role);
}

void InputFiles::add_descriptor(int fd, const std::string& name, std::string_view role) {
  struct stat info = {};
  if (fstat(fd, &info) == 0) add_info(info, name, role);
}

void InputFiles::add_model(const std::string& path, std::string_view role) {
  add(path, role);
  for (const std::string& name : names_in_folder(path)) {
    if (is_checkpoint_file(name)) add(path + "/" + name, role);
    // A folder of the Hugging Face hub's cache has its checkpoints two levels below.
    if (name != "snapshots") continue;
    const std::string snapshots = path + "/" + name;
    for (const std::string& revision : names_in_folder(snapshots)) {
      if (revision != "snapshots") add_model(snapshots + "/" + revision, role);
    }
  }
}

void InputFiles::refuse(const std::string& path, const struct stat& info) const {
  const auto found = names_.find({info.st_dev, info.st_ino});
  if (found == names_.end()) return;
  fail(ExitCode::usage,
       printable(path, 400) + ": expected a file that this run does not use otherwise, found " + found->second);
}

void InputFiles::refuse_descriptor(int fd, const std::string& path) const {
  struct stat info = {};
  if (fstat(fd, &info) == 0) refuse(path, info);
}

OutputPath output_path(const std::string& path, const InputFiles& inputs) {
  struct stat info = {}, followed = {};
  const bool there = stat(path.c_str(), &info) == 0;
  if (!there && errno != ENOENT) fail_path(path, "write", errno);
  if (there) {
    inputs.refuse(path, info);
    if (S_ISDIR(info.st_mode)) fail_errno(path, "write", EISDIR);
    if (!S_ISREG(info.st_mode)) return {path, OutputPath::Kind::stream, info.st_mode};
  }
  const std::string behind = follow_links(path);
  if (!there) return {behind, OutputPath::Kind::absent, 0};
  // Links under /proc lead to files that may have no name any more; such a path can be written to, not replaced.
  const bool has_name =
      stat(behind.c_str(), &followed) == 0 && followed.st_dev == info.st_dev && followed.st_ino == info.st_ino;
  return {has_name ? behind : path, OutputPath::Kind::regular, info.st_mode};
}

}  // namespace gpt2
