#include "tools/request_arguments.h"

#include <algorithm>
#include <limits>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();

}  // namespace

std::vector<Option> RequestArguments::prompt_options() {
  return {{"--special", "", "Read <|endoftext|> in the prompt as the special token, not as text.", flag_value(special)},
          {"--on-overflow", "",
           "What to do where prompt and text outgrow the model's context. stop (default): the text ends; "
           "slide: it goes on, and the older half of what the model sees is forgotten; error: refused if -n tokens "
           "cannot fit after the prompt; truncate-left: the prompt's beginning is dropped as far as -n tokens need, at "
           "most to half of the context. Without truncate-left a prompt that is longer is an error.",
           choice_value(overflow, {{"stop", Overflow::stop},
                                   {"error", Overflow::error},
                                   {"truncate-left", Overflow::truncate_left},
                                   {"slide", Overflow::slide}})},
          {"--keep", "",
           "With --on-overflow slide: never forget the first N tokens (default 0; less than half the context).",
           whole_value(keep, 0, kMax)}};
}

std::vector<Option> RequestArguments::length_options() {
  return {
      {"-n,--max-new-tokens", "--max-tokens,--max-completion-tokens,--n-predict,--num-predict,--predict",
       "Generate at most N tokens (default 256). The text also ends where the context is full, except with "
       "--on-overflow slide; 0 only computes the prompt.",
       whole_value(max_new_tokens, 0, kMax)},
      {"--ignore-eos", "", "Go on after the end-of-text token.", flag_value(ignore_eos)},
      {"--stop", "--reverse-prompt,--stop-sequences,--stop-strings",
       "End before TEXT, however its bytes fall into tokens; can be given several times.", texts_value("TEXT", stops)},
      {"--include-stop", "--include-stop-str-in-output", "Print the --stop text that ended the text.",
       flag_value(include_stop)}};
}

std::vector<Option> RequestArguments::sample_options() {
  return {{"-N,--samples", "--num-samples,--num-return-sequences",
           "Continue the prompt N times (default 1), each time with other draws. Each text ends with a newline; --json "
           "prints an object a line.",
           whole_value(n_samples, 1, kMax)},
          {"-s,--seed", "",
           "The same seed gives the same text (default: a random one, which --json and --stats tell).",
           seed_value(seed)}};
}

std::vector<Option> RequestArguments::result_options() {
  return {{"--logprobs", "--top-logprobs,--n-probs",
           "With JSON: the natural logarithm of each token's probability before temperature and filters, and of the K "
           "(0 to 20) most likely tokens: logprobs {token_logprobs, tokens, top}, where tokens and top hold objects "
           "{token, text, logprob} (and bytes where those are no whole characters). With -n 0: of the prompt's tokens, "
           "null for the first.",
           [this] {
             OptionValue value = whole_value(logprobs, 0, kMaxLogprobs);
             value.metavar = "K";
             return value;
           }()}};
}

std::vector<Option> RequestArguments::options() {
  std::vector<Option> all = sampling.options();
  for (auto& group : {prompt_options(), length_options(), sample_options(), result_options()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

Request RequestArguments::resolve(const Config& config) const {
  Request request;
  request.sampling = sampling.resolve(config);
  request.max_new_tokens = max_new_tokens;
  request.ignore_eos = ignore_eos;
  request.slide = overflow == Overflow::slide;
  request.slide_keep = keep;
  request.n_logprobs = logprobs ? std::max(*logprobs, 1u) : 0;
  if (logprobs && max_new_tokens == 0) request.scores.first = 1;
  if (keep > 0 && keep >= config.n_ctx / 2) {
    fail(ExitCode::usage, "--keep: expected less than half of the model's " + std::to_string(config.n_ctx) +
                              " positions, found " + std::to_string(keep));
  }
  return request;
}

// The last token that is generated needs no position.
size_t RequestArguments::fit(std::vector<int32_t>& prompt, uint32_t n_ctx) const {
  const size_t n_prompt = prompt.size();
  if (overflow == Overflow::slide && n_ctx < 2) {
    fail(ExitCode::input, "the model's context is one token, of which --on-overflow slide can forget nothing");
  }
  const size_t room = max_new_tokens > n_ctx ? 0 : size_t{n_ctx} + (max_new_tokens > 0 ? 1 : 0) - max_new_tokens;
  if (overflow == Overflow::truncate_left) {
    const size_t most = std::max<size_t>(room, (size_t{n_ctx} + 1) / 2);
    const size_t n_dropped = n_prompt > most ? n_prompt - most : 0;
    prompt.erase(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(n_dropped));
    return n_dropped;
  }
  if (n_prompt > n_ctx) {
    fail(ExitCode::input, "the prompt has " + std::to_string(n_prompt) + " tokens, the model's context only " +
                              std::to_string(n_ctx) + " (--on-overflow truncate-left drops its beginning)");
  }
  if (overflow == Overflow::error && n_prompt > room) {
    fail(ExitCode::input, "the prompt has " + std::to_string(n_prompt) + " tokens and -n asks for " +
                              std::to_string(max_new_tokens) + " more, the model's context has only " +
                              std::to_string(n_ctx) + " (--on-overflow error)");
  }
  return 0;
}

StopMatcher RequestArguments::stop_matcher() const {
  return StopMatcher(stops, include_stop ? StopMatcher::Keep::stop : StopMatcher::Keep::nothing);
}

const char* RequestArguments::gap_fault() const noexcept {
  if (overflow == Overflow::stop || overflow == Overflow::error) return nullptr;
  return "--on-overflow: expected stop or error with a prefix and a suffix, whose marks have to stay";
}

void begin_text(const Config& config, std::vector<int32_t>& prompt) {
  if (!prompt.empty()) return;
  if (config.bos_token_id < 0)
    fail(ExitCode::input, "the prompt is empty, and the model has no beginning-of-text token");
  prompt.push_back(config.bos_token_id);
}

}  // namespace gpt2
