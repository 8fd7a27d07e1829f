// A directory that appears under its final name whole or not at all: a new one beside it, filled, synced, renamed.
// Nothing that is there is ever replaced.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/output_file.h"

namespace gpt2 {

class OutputDirectory {
 public:
  // Makes the new directory beside `path`. Throws Error: exit 2 if something has that name, exit 1.
  explicit OutputDirectory(const std::string& path);
  OutputDirectory(const OutputDirectory&) = delete;
  ~OutputDirectory();  // without commit() nothing is left behind

  // Returns where the directory is meanwhile.
  const std::string& name_meanwhile() const noexcept { return temporary_; }
  // Opens a new file in it, which commit() of its own completes.
  std::unique_ptr<OutputFile> file(const std::string& name);
  // Writes a whole file.
  void write(const std::string& name, std::string_view text);
  // Gives the directory its final name. Throws Error as the constructor does, where something took it meanwhile.
  void commit();

 private:
  std::string path_, temporary_;
  std::vector<std::string> names_;
  bool committed_ = false;
};

}  // namespace gpt2
