// What one generation was: its tokens, its end, and what it took; as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/speculation.h"
#include "src/engine/stop.h"
#include "src/text/tokenizer.h"
#include "tools/json_object.h"

namespace gpt2 {

// One sample of the prompt's continuations.
struct Sample {
  uint32_t index = 0;
  std::vector<TokenId> tokens;     // with the end-of-text token where that was the end
  std::string_view finish_reason;  // "eos", "stop", "length", "context", "no_token", "interrupted"
  std::optional<std::string> stop; // the stop string that ended it
  std::string text;                // without the end-of-text token and, unless it was asked for, the stop string
  // Of the tokens, or of the prompt's if none was asked for; NaN for one that nothing precedes.
  std::vector<TokenLogprob> logprobs;
  std::vector<std::vector<TokenLogprob>> top;  // the most likely tokens in the place of each
  double decode_ms = 0;
};

// A sample that grows token by token until it ends by itself or by a stop string.
class SampleBuilder {
 public:
  // `text` stands behind the prompt.
  SampleBuilder(const TokenText& text, uint32_t index, StopMatcher stop) : text_(text), stop_(std::move(stop)) {
    sample_.index = index;
  }
  // `ends_text`: the end-of-text token, which is no text. Text comes out as soon as no stop string can begin in it.
  void push(TokenId token, bool ends_text);
  // Adds the log-probabilities of the token that was pushed last: its own and those of the most likely tokens.
  void push_logprobs(TokenLogprob chosen, std::span<const TokenLogprob> top);
  // The log-probabilities will be those of the prompt's tokens, the first of which has none.
  void begin_scores(TokenId first);
  // Adds those of its next tokens, with the first `n_top` of the most likely in the place of each.
  void push_scores(std::span<const TokenScore> scores, std::span<const TokenLogprob> top, size_t n_top);
  // Ends the sample: what was held back is text, unless a stop string has ended it.
  void finish(std::string_view reason);
  bool stopped() const noexcept { return stop_.matched(); }
  Sample& sample() noexcept { return sample_; }

 private:
  TokenText text_;
  StopMatcher stop_;
  Sample sample_;
};

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
