// What one generation was: its tokens, its end, and what it took; as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/speculation.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// One sample of the prompt's continuations.
struct Sample {
  uint32_t index = 0;
  std::vector<TokenId> tokens;     // with the end-of-text token where that was the end
  std::string_view finish_reason;  // "eos", "stop", "length", "context", "no_token", "interrupted"
  std::optional<std::string> stop; // the stop string that ended it
  std::string text;                // without the end-of-text token and, unless it was asked for, the stop string
  double decode_ms = 0;
};

struct Generation {
  std::vector<TokenId> prompt;
  size_t n_dropped = 0;  // tokens at the prompt's beginning that were left out
  uint64_t seed = 0;
  std::string model;
  std::string_view kernels;
  uint32_t threads = 0;

  // Milliseconds. Prefill computes the prompt; decode is all after it: every token of a sample but the first costs one step.
  double load_ms = 0, prefill_ms = 0;
  double first_token_ms = 0;  // from the start of the command

  // Over all samples.
  uint32_t n_samples = 0;
  size_t n_tokens = 0, n_steps = 0;
  double decode_ms = 0;
  std::vector<float> token_intervals_ms;  // between two tokens of a sample
  std::string_view finish_reason;         // of the last sample
  std::optional<SpeculationStats> speculation;
};

// One JSON object and a newline, for --json.
std::string sample_json(const Generation& generation, const Sample& sample);
// One JSON object and a newline, for --stats=json.
std::string stats_json(const Generation& generation);
// A table for people, for --stats.
std::string stats_table(const Generation& generation);

}  // namespace gpt2
