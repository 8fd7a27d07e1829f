// `gpt2 bench spec`: what speculation gains on a set of prompts, beside what the draft's agreement and the costs allow.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/measure/speculation_benchmark.h"
#include "tools/figures.h"
#include "tools/options.h"
#include "tools/sampling_arguments.h"
#include "tools/speculation_arguments.h"

namespace gpt2 {

class SpeculationBenchCommand {
 public:
  // Returns the options; their values are stored in this object.
  std::vector<OptionGroup> options();
  bool wanted() const noexcept { return speculation_.wanted(); }

  struct Setting {
    const Model& model;
    EngineOptions engine;
    uint32_t repetitions = 1;
    BenchFormat format = BenchFormat::table;
    Verbosity verbosity = Verbosity::normal;
  };
  // Measures and prints. Returns the exit code: 1 if a text differed that may not.
  int run(const Setting& setting) const;

 private:
  std::vector<std::vector<int32_t>> read_prompts(const Model& model) const;

  SamplingArguments sampling_;
  SpeculationArguments speculation_;
  bool escape_ = false;
  bool samples_ = false;  // an option asks for something else than the most likely token
  std::optional<std::string> file_;
  uint32_t max_new_tokens_ = 64, prompt_tokens_ = 64;
  std::optional<uint32_t> n_prompts_;
  std::optional<uint64_t> seed_;
};

}  // namespace gpt2
