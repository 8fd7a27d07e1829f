// `gpt2 eval choices`, `lambada`, `hellaswag`, ...: how often a model holds the right continuation most likely.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/measure/task_figures.h"
#include "src/measure/tasks.h"
#include "tools/eval_setting.h"
#include "tools/options.h"

namespace gpt2 {

class EvalTasksCommand {
 public:
  // Returns the options; their values are stored in this object.
  std::vector<OptionGroup> options();
  // Returns whether one of them was given.
  bool wanted() const;

  // Asks the model every record of the file, and prints.
  void run(Task task, const std::string& file, const EvalSetting& setting) const;

 private:
  // A file's records, and where each stands.
  struct Records {
    std::vector<Example> examples;
    std::vector<std::string> places;  // "FILE:LINE: "
    std::vector<uint64_t> lines;
  };
  Records read(Task task, const std::string& file, std::optional<uint32_t> limit) const;
  std::vector<std::string> shots_of(Task task, const Records& records) const;

  std::optional<uint32_t> limit_, shots_;
  std::optional<std::string> shots_from_, delimiter_, details_;
};

}  // namespace gpt2
