// `gpt2 eval golden`: this program's logits beside those of another implementation.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/engine/engine.h"
#include "src/measure/golden.h"
#include "tools/eval_setting.h"
#include "tools/options.h"

namespace gpt2 {

class EvalGoldenCommand {
 public:
  // Returns the options; their values are stored in this object.
  std::vector<OptionGroup> options();
  // Returns whether one of them was given.
  bool wanted() const { return max_kl_ >= 0 || max_difference_ >= 0 || write_; }

  // Compares and prints, or writes logits; returns the exit code.
  int run(const std::string& file, const EvalSetting& setting) const;

 private:
  int compare(const std::string& file, const EvalSetting& setting, Engine& engine) const;
  void write(const std::string& file, const EvalSetting& setting, Engine& engine) const;

  float max_kl_ = -1, max_difference_ = -1;  // below 0: any
  std::optional<std::string> write_;
};

}  // namespace gpt2
