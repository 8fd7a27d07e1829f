// `gpt2 bench batch`: what continuous batching gains, and what a long prompt costs those who run beside it.
#pragma once

#include <vector>

#include "src/measure/batch_benchmark.h"
#include "tools/figures.h"
#include "tools/options.h"
#include "tools/terminal.h"

namespace gpt2 {

class BatchBenchCommand {
 public:
  // Returns the options; their values are stored in this object.
  std::vector<OptionGroup> options();

  struct Setting {
    const Model& model;
    std::string shown_name;
    EngineOptions engine;
    uint32_t repetitions = 1;
    BenchFormat format = BenchFormat::table;
    Verbosity verbosity = Verbosity::normal;
  };
  // Measures and prints.
  void run(const Setting& setting) const;

 private:
  BatchBenchOptions values_;
  uint32_t batch_ = 16;
};

}  // namespace gpt2
