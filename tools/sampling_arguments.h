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
  // In the order in which they apply. Their values are this object's.
  std::vector<Option> options();
  // What they ask for. Throws Error (exit 4) for a token that the model does not have.
  SamplingOptions resolve(const Config& config) const;
  // Whether they take the most likely token.
  bool is_greedy() const noexcept;

 private:
  SamplingOptions values_;
};

}  // namespace gpt2
