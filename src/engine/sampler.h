// From logits to a token: processors and filters with the formulas and the order of Hugging Face `generate`, OpenAI's
// two penalties among them, then Gumbel-max. Pure: the same logits, options, tokens so far and noise give the same
// token on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/engine/choices.h"
#include "src/engine/noise.h"

namespace gpt2 {

struct TokenBias {
  int32_t token = 0;
  float bias = 0;  // finite; added to the logit
};

// Applied in this order. The first block also decides what the most likely token of greedy choice is; the second block
// applies to drawn tokens only, and each of it sees the survivors of the one before.
struct SamplingOptions {
  std::vector<TokenBias> logit_bias;
  float repetition_penalty = 1.0f;  // > 0; a token of the text so far: logit < 0 ? logit * penalty : logit / penalty
  // OpenAI's, -2 to 2, for tokens that were generated so far, the prompt's own not counted:
  // logit -= count * frequency_penalty + (count > 0) * presence_penalty; 0: off
  float frequency_penalty = 0.0f, presence_penalty = 0.0f;
  uint32_t no_repeat_ngram = 0;     // forbid a token that would repeat this many tokens of the text so far; 0: off
  uint32_t min_new_tokens = 0;      // forbid end-of-text tokens before so many tokens were generated
  std::vector<int32_t> forbidden;   // tokens that are never chosen

  bool greedy = false;       // the arg-max; nothing below applies
  float temperature = 1.0f;  // > 0: logits / temperature
  uint32_t top_k = 50;       // keep logits at least as large as the k-th largest (ties stay); 0: off
  float top_p = 1.0f;        // keep the smallest set of the most likely tokens whose probability reaches top_p; 1: off
  float min_p = 0.0f;        // keep tokens at least min_p times as likely as the most likely; 0: off
  // Keep the tokens whose surprise is nearest to the entropy, until their probability reaches
  float typical_p = 1.0f;
                             // typical_p (Meister et al. 2023); 1: off

  // Returns whether a token depends on the logits alone, as arg-max of a row.
  bool is_plain_argmax() const noexcept { return greedy && !changes_logits(); }
  // Returns whether the first block does anything.
  bool changes_logits() const noexcept {
    return !logit_bias.empty() || repetition_penalty != 1.0f || frequency_penalty != 0.0f ||
           presence_penalty != 0.0f || no_repeat_ngram > 0 || min_new_tokens > 0 || !forbidden.empty();
  }
};

// Sets the temperature; so low a one that logits divided by it could overflow is the most likely token.
void set_temperature(SamplingOptions& options, float temperature) noexcept;

// What a choice depends on beside logits and options.
struct TextSoFar {
  std::span<const int32_t> tokens;       // the prompt and what was generated
  uint32_t n_generated = 0;
  std::span<const int32_t> end_of_text;  // ids that end a text
};

// A token that is still possible, and its logit after the processors and the temperature.
struct Candidate {
  int32_t token = 0;
  float logit = 0;
};

// Scratch for one thread; sized once for a vocabulary, sampling allocates nothing.
class Sampler {
 public:
  explicit Sampler(uint32_t n_vocab) : Sampler(n_vocab, Choices(n_vocab)) {}
  // Of n_vocab logits only the choices become tokens.
  Sampler(uint32_t n_vocab, Choices choices);

  // `logits` are all finite, one per token id; ids in options and text are below n_vocab. The lowest id wins ties. None
  // if the options leave no token.
  std::optional<int32_t> sample(std::span<const float> logits, const SamplingOptions& options, const TextSoFar& text,
                                const PositionNoise& noise);

  // The tokens that processors and filters leave, in no particular order (greedy: before the filters); valid until the
  // next call.
  std::span<const Candidate> filter(std::span<const float> logits, const SamplingOptions& options,
                                    const TextSoFar& text);

 private:
  float lower_bound_of_top(std::span<const float> logits, uint32_t k);
  void collect(std::span<const float> logits, float temperature, float least);
  void process(std::span<const float> logits, const SamplingOptions& options, const TextSoFar& text);
  void penalize_repetition(float penalty, std::span<const int32_t> tokens);
  void penalize_generated(const SamplingOptions& options, std::span<const int32_t> generated);
  void forbid_repeated_ngrams(uint32_t n, std::span<const int32_t> tokens);
  void keep_top_k(uint32_t k);
  void keep_top_p(float p);
  void keep_min_p(float p);
  void keep_typical(float mass);

  Choices choices_;
  std::vector<float> logits_;     // after the processors; -infinity: forbidden
  std::vector<uint32_t> counts_;  // by id, all 0 between two calls
  std::vector<Candidate> candidates_;
  std::vector<float> scratch_;
};

}  // namespace gpt2
