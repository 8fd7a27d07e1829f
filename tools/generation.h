// What one generation was: its tokens, its end, and what it took; as JSON and as a table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/tokenizer.h"

namespace gpt2 {

struct Generation {
  std::vector<TokenId> prompt;
  std::vector<TokenId> completion;  // with the end-of-text token where that was the end
  std::string_view finish_reason;   // "eos", "length", "context", "interrupted"
  std::string text;                 // of the completion without its end-of-text token
  uint64_t seed = 0;
  std::string model;
  std::string_view kernels;
  uint32_t threads = 0;

  // Milliseconds. Prefill computes the prompt; decode is all after it: every token but the first costs one step.
  double load_ms = 0, prefill_ms = 0, decode_ms = 0;
  double first_token_ms = 0;              // from the start of the command
  std::vector<float> token_intervals_ms;  // between two tokens
};

// One JSON object and a newline, for --json.
std::string generation_json(const Generation& generation);
// One JSON object and a newline, for --stats=json.
std::string stats_json(const Generation& generation);
// A table for people, for --stats.
std::string stats_table(const Generation& generation);

}  // namespace gpt2
