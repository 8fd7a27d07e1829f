// A text in progress, and what is asked of it. Nothing else in the engine is one: a prompt that is being computed, a
// text that runs, and one that waits for its blocks differ only in how many of their tokens are computed.
#pragma once

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

struct Request {
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint32_t sample = 0;            // index of this sample within its record
  uint32_t max_new_tokens = 256;
  bool ignore_eos = false;        // an end-of-text token is a token like any other
  bool slide = false;             // past the context: forget the oldest half instead of ending ...
  uint32_t slide_keep = 0;        // ... but for so many first tokens; less than half the context
  uint32_t n_logprobs = 0;        // most likely tokens to report with each token, at most kMaxLogprobs
};

struct Sequence {
  Request request;
  std::vector<int32_t> tokens;     // the prompt and what was generated
  uint32_t n_prompt = 0;           // of them
  uint32_t kept = 0, dropped = 0;  // sliding: the model sees the first `kept` tokens and those from kept + dropped on
  KvSequence kv;                   // of the computed tokens, which come first among those that the model sees

  uint32_t n_generated() const noexcept { return static_cast<uint32_t>(tokens.size()) - n_prompt; }
  uint32_t n_known() const noexcept { return static_cast<uint32_t>(tokens.size()) - dropped; }
  uint32_t n_computed() const noexcept { return kv.length(); }
  // Returns the token at a position below n_known().
  int32_t token_at(uint32_t position) const noexcept { return tokens[position < kept ? position : position + dropped]; }

  // Returns how many computed positions of this text are the other's too. The other's last token is not among them:
  // its row has to be computed.
  uint32_t shared_with(const Sequence& other) const noexcept;
  // Drops the older half of what may be dropped. The rest is computed again at its new positions.
  void slide() noexcept;
};

}  // namespace gpt2
