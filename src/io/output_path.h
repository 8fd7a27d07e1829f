// What may be written where: the one place that decides it for every path that a command writes. An output is never a
// file that the run reads, by whatever name; nothing but a regular file is ever replaced; a symbolic link stays, what
// it leads to is written.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

struct stat;

namespace gpt2 {

// The files that a run reads, by device and inode, so that a hard or symbolic link is the same file. A value that the
// command fills: a register of all that was ever opened would refuse a new file that has the inode of one long gone.
class InputFiles {
 public:
  // Adds a file; "-" is stdin, what is not there is no input. `role`: "-f" or what else the message is to say.
  void add(const std::string& path, std::string_view role);
  void add_descriptor(int fd, const std::string& name, std::string_view role);
  // Adds a model file, or every file of a checkpoint's directory that can be part of one, read or not.
  void add_model(const std::string& path, std::string_view role);
  // Throws Error (exit 2) if `info`, or an open descriptor, is one of them. `path`: of the output.
  void refuse(const std::string& path, const struct stat& info) const;
  void refuse_descriptor(int fd, const std::string& path) const;

 private:
  void add_info(const struct stat& info, const std::string& name, std::string_view role);

  std::map<std::pair<dev_t, ino_t>, std::string> names_;
};

struct OutputPath {
  enum class Kind {
    absent,
    regular,
    stream,  // a FIFO, a socket or a device: can be written to, is never replaced
  };
  std::string path;  // behind every symbolic link
  Kind kind = Kind::absent;
  mode_t mode = 0;   // of what is there
};

// Returns where an output goes. Throws Error: exit 2 if the path leads to an input, exit 1 if it leads to a directory
// or nowhere.
OutputPath output_path(const std::string& path, const InputFiles& inputs);

// Returns the folder of a path, and its last part.
std::string folder_of(const std::string& path);
std::string name_in_folder(const std::string& path);

}  // namespace gpt2
