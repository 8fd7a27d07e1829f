// The options that say how a token is chosen, for the tables of commands that generate.
#pragma once

#include <cstdint>
#include <vector>

#include "src/engine/sampler.h"
#include "src/model/config.h"
#include "tools/options.h"

namespace gpt2 {

class SamplingArguments {
 public:
  // Returns the options in the order in which they apply; their values are stored in this object.
  std::vector<Option> options();
  // Returns what they ask for. Throws Error (exit 4) for a token that the model does not have.
  SamplingOptions resolve(const Config& config) const;
  // Returns whether they take the most likely token.
  bool is_greedy() const noexcept;

 private:
  SamplingOptions values_;
};

}  // namespace gpt2
