// A text in progress, and what is asked of it. Nothing else in the engine is one: a prompt that is being computed, a
// text that runs, and one that waits for its blocks differ only in how many of their tokens are computed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/engine/sampler.h"
#include "src/model/kv_cache.h"

namespace gpt2 {

// Why a request ended.
enum class FinishReason : uint8_t {
  running,      // it has not
  eos,          // the model ended the text
  length,       // max_new_tokens were generated
  context,      // the model has no position left
  no_token,     // the request's options forbid every token
  nonfinite,    // a logit was NaN or infinite (Engine::nonfinite_reason)
};
std::string_view finish_reason_name(FinishReason reason);  // "eos", "length", "context", ...

inline constexpr uint32_t kMaxLogprobs = 20;

// What is reported of the prompt's own tokens (score.h), beside Request::n_logprobs of the most likely in each place.
struct ScoreRequest {
  uint32_t first = 0;         // the first token that is scored; 0, or past the prompt: none is
  bool distribution = false;  // with entropy and rank
  // Ids, ascending, whose summed probability is reported; empty: none. They outlive the text.
  std::span<const int32_t> set = {};
};

struct Request {
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint32_t sample = 0;            // index of this sample within its record
  uint32_t max_new_tokens = 256;
  bool ignore_eos = false;        // an end-of-text token is a token like any other
  bool slide = false;             // past the context: forget the oldest half instead of ending ...
  uint32_t slide_keep = 0;        // ... but for so many first tokens; less than half the context
  uint32_t n_logprobs = 0;        // most likely tokens to report with each token, at most kMaxLogprobs
  ScoreRequest scores;

  // Returns whether the text is only read: the last token has nothing to say then and is not computed.
  bool only_scores() const noexcept { return scores.first > 0 && max_new_tokens == 0; }
};

struct Sequence {
  Request request;
  std::vector<int32_t> tokens;     // the prompt and what was generated
  uint32_t n_prompt = 0;           // of them
  uint32_t kept = 0, dropped = 0;  // sliding: the model sees the first `kept` tokens and those from kept + dropped on
  KvSequence kv;                   // of the computed tokens, which come first among those that the model sees
  uint32_t next_scored = kNone;    // the first token of the prompt whose score is wanted and not there yet

  static constexpr uint32_t kNone = 0xFFFFFFFF;

  uint32_t n_generated() const noexcept { return static_cast<uint32_t>(tokens.size()) - n_prompt; }
  uint32_t n_known() const noexcept { return static_cast<uint32_t>(tokens.size()) - dropped; }
  uint32_t n_computed() const noexcept { return kv.length(); }
  // Returns how many of the known tokens are computed in all.
  uint32_t n_rows() const noexcept { return n_known() - (request.only_scores() ? 1 : 0); }
  // Returns the first position whose logits are wanted: what is before it can be another text's.
  uint32_t first_wanted() const noexcept { return std::min(next_scored, n_known()) - 1; }
  // Returns the token at a position below n_known().
  int32_t token_at(uint32_t position) const noexcept { return tokens[position < kept ? position : position + dropped]; }

  // Returns how many computed positions of this text are the other's too, of those before its first_wanted().
  uint32_t shared_with(const Sequence& other) const noexcept;
  // Drops the older half of what may be dropped. The rest is computed again at its new positions.
  void slide() noexcept;
};

}  // namespace gpt2
