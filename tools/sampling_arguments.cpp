#include "tools/sampling_arguments.h"

#include <limits>
#include <string>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr float kMostBias = 1000;
constexpr float kMostPenalty = 2;  // OpenAI's bounds

void check_token(const char* option, int32_t token, const Config& config) {
  if (static_cast<uint32_t>(token) < config.n_vocab) return;
  fail(ExitCode::input, std::string(option) + ": expected token ids from 0 to " + std::to_string(config.n_vocab - 1) +
                            ", found " + std::to_string(token));
}

}  // namespace

std::vector<Option> SamplingArguments::options() {
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  return {
      {"--logit-bias", "", "Add X, from -1000 to 1000, to the logit of token ID; can be given for several tokens.",
       pairs_value(
           "ID:X", kMostBias,
           [this](int32_t token, float bias) {
             values_.logit_bias.push_back({token, bias});
           },
           [this] { values_.logit_bias.clear(); })},
      {"--repetition-penalty", "--repeat-penalty",
       "Divide the logits of tokens of the prompt and the text so far by X; multiply those below 0 (default 1: off).",
       real_value(values_.repetition_penalty, 0.001f, 1000)},
      {"--frequency-penalty", "",
       "Subtract X, from -2 to 2, from a token's logit for each time that it was generated so far; the prompt does not "
       "count (default 0: off).",
       real_value(values_.frequency_penalty, -kMostPenalty, kMostPenalty)},
      {"--presence-penalty", "",
       "Subtract X, from -2 to 2, from the logits of tokens that were generated so far, once; the prompt does not "
       "count (default 0: off).",
       real_value(values_.presence_penalty, -kMostPenalty, kMostPenalty)},
      {"--no-repeat-ngram", "--no-repeat-ngram-size",
       "Never repeat N tokens that stand in the prompt or the text so far (default 0: off).",
       whole_value(values_.no_repeat_ngram, 0, kMax)},
      {"--min-new-tokens", "--min-tokens", "No end-of-text token before N tokens were generated (default 0).",
       whole_value(values_.min_new_tokens, 0, kMax)},
      {"--forbid-token", "", "Never choose token ID; can be given for several tokens.",
       token_value([this](int32_t token) { values_.forbidden.push_back(token); },
                   [this] { values_.forbidden.clear(); })},
      {"--greedy", "", "Now take the most likely token, as -T 0; what follows does not apply.",
       flag_value(values_.greedy)},
      {"-T,--temperature", "--temp",
       "Divide the logits by X (default 1): low X favours the likely tokens, high X the rest; 0: --greedy.",
       real_value(values_.temperature, 0, 1000)},
      {"--top-k", "", "Keep the N most likely tokens, and those as likely as the last (default 50; 0: all).",
       whole_value(values_.top_k, 0, kMax)},
      {"--top-p", "", "Keep the fewest most likely tokens whose probabilities reach X together (default 1: all).",
       real_value(values_.top_p, 0, 1)},
      {"--min-p", "", "Keep the tokens at least X times as likely as the most likely one (default 0: all).",
       real_value(values_.min_p, 0, 1)},
      {"--typical-p", "--typical",
       "Keep the tokens whose surprise -log p is nearest to its mean, the entropy, until their probabilities reach X "
       "(default 1: all).",
       real_value(values_.typical_p, 0, 1)},
  };
}

bool SamplingArguments::is_greedy() const noexcept {
  SamplingOptions options = values_;
  set_temperature(options, values_.temperature);
  return options.greedy;
}

SamplingOptions SamplingArguments::resolve(const Config& config) const {
  for (const TokenBias& bias : values_.logit_bias) check_token("--logit-bias", bias.token, config);
  for (const int32_t token : values_.forbidden) check_token("--forbid-token", token, config);
  SamplingOptions options = values_;
  set_temperature(options, values_.temperature);
  return options;
}

}  // namespace gpt2
