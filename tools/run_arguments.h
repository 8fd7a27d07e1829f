// The options that say how a run over many records is done and where its results go, for the tables of commands that
// read many.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/options.h"
#include "tools/record_lines.h"
#include "tools/reorder_window.h"
#include "tools/result_file.h"

namespace gpt2 {

class RunArguments {
 public:
  // The words of one command's help.
  struct Help {
    std::string_view batch, kv_memory, shard, resume;
  };
  // Returns the options; their values are stored in this object.
  std::vector<Option> options(const Help& help);

  // Returns an option that was given, as "--batch"; nullptr if none was. The same without those of the output.
  const char* given() const noexcept;
  const char* given_for_many() const noexcept;
  // Throws Error (exit 2) that starts with `command` for options that exclude or need each other.
  enum class OtherOutput { none, file };  // that --force replaces, too
  void check(const std::string& command, OtherOutput other = OtherOutput::none) const;

  ReorderWindow::Order order() const noexcept;
  Shard shard() const noexcept { return shard_; }
  ResultFile open_output(const InputFiles& inputs, FinishedResults& finished) const;
  std::optional<uint32_t> batch() const noexcept { return batch_; }
  std::optional<uint64_t> kv_memory() const noexcept { return kv_memory_; }
  bool resumes() const noexcept { return resume_; }
  bool forces() const noexcept { return force_; }
  bool writes_file() const noexcept { return output_ && *output_ != "-"; }

 private:
  bool unordered_ = false, resume_ = false, force_ = false, is_shard_ = false;
  std::optional<uint32_t> batch_;
  std::optional<uint64_t> kv_memory_;
  std::optional<std::string> output_;
  Shard shard_;
};

}  // namespace gpt2
