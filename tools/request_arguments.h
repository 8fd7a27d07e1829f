// What one request asks for: the options of `generate` that a record of its input can set for itself. A value: a
// record's is a copy of the command line's, changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/stop.h"
#include "tools/options.h"
#include "tools/sampling_arguments.h"

namespace gpt2 {

enum class Overflow { stop, error, truncate_left, slide };

struct RequestArguments {
  bool special = false, ignore_eos = false, include_stop = false;
  SamplingArguments sampling;
  std::vector<std::string> stops;
  uint32_t max_new_tokens = 256, n_samples = 1, keep = 0;
  std::optional<uint32_t> logprobs;  // how many alternatives to list with each token
  Overflow overflow = Overflow::stop;
  std::optional<uint64_t> seed;

  // Return the options by the groups of the help; their values are stored in this object.
  std::vector<Option> prompt_options();
  std::vector<Option> length_options();
  std::vector<Option> sample_options();
  std::vector<Option> result_options();
  // Returns all of them and those of sampling.
  std::vector<Option> options();

  // Returns the request for the engine. Throws Error: exit 4 for a token that the model does not have, exit 2 for a
  // --keep that leaves no room.
  Request resolve(const Config& config) const;
  // Makes a prompt fit the context as --on-overflow says; returns how many tokens at its beginning are dropped for it.
  // Throws Error (exit 4) if it cannot.
  size_t fit(std::vector<int32_t>& prompt, uint32_t n_ctx) const;
  StopMatcher stop_matcher() const;
  // Returns why a prompt with a gap cannot be asked for so; nullptr if it can.
  const char* gap_fault() const noexcept;
};

// Makes an empty prompt the beginning-of-text token. Throws Error (exit 4) if the model has none.
void begin_text(const Config& config, std::vector<int32_t>& prompt);

}  // namespace gpt2
