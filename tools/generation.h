// What one generation was: its tokens, its end, and what it took; as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/sample_builder.h"
#include "src/engine/speculation.h"
#include "src/io/json_object.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

struct Generation {
  std::vector<TokenId> prompt;
  size_t n_dropped = 0;  // tokens at the prompt's beginning that were left out
  size_t n_cached = 0;   // tokens that were found computed
  uint64_t seed = 0;
  bool lists_logprobs = false;
  std::string model;
  std::string_view kernels;
  uint32_t threads = 0;

  // Milliseconds. Prefill computes the prompt; decode is all after it: every token of a sample but the first costs one
  // step.
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

// Returns what --logprobs asks for, as a JSON object; each token's text stands beside its id.
std::string logprobs_json(const Sample& sample, const Tokenizer& tokenizer);

// The prompt whose continuation a sample is.
struct ResultOf {
  std::string id;  // as JSON
  uint64_t index = 0;
  size_t n_prompt = 0, n_dropped = 0;  // tokens of the prompt, and those before them that were left out
  uint64_t seed = 0;
  bool lists_logprobs = false;
  std::optional<uint64_t> made_from = std::nullopt;  // made_from.h; one prompt's results have none
};
// Returns a result in the one form that --json and --jsonl have.
JsonObject result_object(const ResultOf& of, const Sample& sample, const Tokenizer& tokenizer);
// What the process has used so far.
struct ProcessUsage {
  double peak_rss_bytes = 0;
  uint64_t major_faults = 0;
};
ProcessUsage process_usage();
// Returns one JSON object and a newline, for --json: a result and its times.
std::string sample_json(const Generation& generation, const Sample& sample, const Tokenizer& tokenizer);
// Returns one JSON object and a newline, for --stats=json.
std::string stats_json(const Generation& generation);
// Returns a table for people, for --stats.
std::string stats_table(const Generation& generation);

}  // namespace gpt2
