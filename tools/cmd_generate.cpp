// gpt2 generate: a text goes in, its continuation comes out, token by token.
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <limits>

#include "src/base/error.h"
#include "src/engine/engine.h"
#include "tools/commands.h"
#include "tools/generation.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/prompt.h"
#include "tools/signals.h"
#include "tools/streams.h"
#include "tools/terminal.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxPromptBytes = uint64_t{64} << 20;
constexpr uint32_t kPrefillChunk = 256;
constexpr float kColdest = 1e-30f;  // logits divided by less could overflow: below it, the most likely token

enum class Echo { automatic, always, never };
enum class Stats { none, table, json };
enum class KvChoice { by_model, f32, f16 };

using Clock = std::chrono::steady_clock;
double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

uint64_t random_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) fail_errno("getrandom", "draw a seed", errno);
  return seed;
}

KvType kv_type_of(KvChoice choice, const Model& model) {
  if (choice == KvChoice::by_model) return model.weights().wte.dtype == DType::f32 ? KvType::f32 : KvType::f16;
  return choice == KvChoice::f32 ? KvType::f32 : KvType::f16;
}

class Generate final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  std::vector<TokenId> encode_prompt(const Model& model, const std::optional<std::string>& prompt) const;
  void note_on_prompt(const std::string& prompt) const;
  EngineOptions engine_options(const Model& model, size_t prompt_tokens) const;
  void note_on_machine(const Generation& generation) const;
  Request request(uint64_t seed) const;
  void stream(Engine& engine, Generation& generation, TextStream* out) const;
  void report(const Generation& generation) const;

  ModelChoice model_;
  std::optional<std::string> file_, tokens_;
  bool special_ = false, greedy_ = false, ignore_eos_ = false, json_ = false;
  SamplingOptions sampling_;
  uint32_t max_new_tokens_ = 256;
  std::optional<uint64_t> seed_;
  std::optional<uint32_t> threads_;
  KvChoice kv_ = KvChoice::by_model;
  Echo echo_ = Echo::automatic;
  Stats stats_ = Stats::none;
  Clock::time_point start_ = Clock::now();
};

CommandText Generate::text() const {
  return {
      "generate", "[PROMPT]", "Continues a text.",
      "The prompt is PROMPT; or a file's text with -f; or, when neither is given and stdin is not a terminal, all of "
      "stdin. One newline at the end of a file or of stdin is dropped, nothing else is changed. A PROMPT of - stands "
      "for stdin and can stand between other texts, which are joined to it. When PROMPT is given, stdin is not read. "
      "An empty prompt starts from the model's beginning-of-text token.\n"
      "Only generated text goes to stdout. It appears as soon as its bytes are whole characters: as they are in a "
      "pipe; on a terminal, bytes that are no character as U+FFFD and control characters as \\xNN.\n"
      "A token is drawn with the formulas and in the order of Hugging Face's generate: temperature, then --top-k, "
      "--top-p, --min-p, each on what the one before has left. The same model, prompt, options and seed give the same "
      "text, whatever the number of threads.\n"
      "Ctrl-C stops after the current token, a second one at once.",
      "gpt2 generate \"Once upon a time\"\n"
      "gpt2 generate --greedy -n 40 \"The old captain said\"\n"
      "gpt2 generate -m model.gpt2 -T 0.8 --top-p 0.95 -s 42 < prompt.txt\n"
      "git log -5 | gpt2 generate -m model.gpt2 - $'\\n\\nSummary:'\n"
      "gpt2 generate --json \"Alice was\" | jq -r .text"};
}

std::vector<OptionGroup> Generate::options() {
  constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
  std::vector<Option> model = model_options(model_);
  model.push_back({"-t,--threads", "",
                   "Threads (default: $OMP_NUM_THREADS, else the physical cores that the process may use).",
                   whole_value(threads_, 1, ThreadTeam::kMaxThreads)});
  model.push_back({"--kv-dtype", "", "Type of the cached keys and values (default: f32 for f32 models, else f16).",
                   choice_value(kv_, {{"f32", KvChoice::f32}, {"f16", KvChoice::f16}})});
  OptionValue stats = choice_value(stats_, {{"", Stats::table}, {"json", Stats::json}});
  stats.metavar = "json";
  stats.expected = "--stats or --stats=json";
  stats.presence = OptionValue::Presence::optional;
  return {
      {"Prompt",
       {{"-f,--file", "", "Read the prompt from FILE (-: stdin).", name_value("FILE", file_)},
        {"--tokens", "", "The prompt as token ids: \"464,1545,318\".", text_value("IDS", tokens_)},
        {"--special", "", "Read <|endoftext|> in the prompt as the special token, not as text.", flag_value(special_)},
        {"--echo", "", "Print the prompt before its continuation; auto: on a terminal (default).",
         choice_value(echo_, {{"auto", Echo::automatic}, {"always", Echo::always}, {"never", Echo::never}})}}},
      {"Length",
       {{"-n,--max-new-tokens", "--max-tokens,--n-predict,--predict",
         "Tokens to generate at most (default 256). The end of the model's context is always an end; 0 only computes "
         "the prompt.",
         whole_value(max_new_tokens_, 0, kMax)},
        {"--ignore-eos", "", "Go on after the end-of-text token.", flag_value(ignore_eos_)}}},
      {"Sampling, in this order",
       {{"--greedy", "", "Always take the most likely token; as -T 0.", flag_value(greedy_)},
        {"-T,--temperature", "--temp",
         "Divide the logits by X (default 1): below 1 plainer, above 1 wilder; 0: --greedy.",
         real_value(sampling_.temperature, 0, 1000)},
        {"--top-k", "", "Keep the N most likely tokens (default 50; 0: all).", whole_value(sampling_.top_k, 0, kMax)},
        {"--top-p", "", "Keep the fewest most likely tokens whose probabilities reach X together (default 1: all).",
         real_value(sampling_.top_p, 0, 1)},
        {"--min-p", "", "Keep the tokens at least X times as likely as the most likely one (default 0: all).",
         real_value(sampling_.min_p, 0, 1)},
        {"-s,--seed", "", "The same seed gives the same text (default: a random one, which --json and --stats tell).",
         seed_value(seed_)}}},
      {"Output",
       {{"--json", "",
         "Print one JSON object instead of the text: text, tokens, finish_reason (eos, length, context, interrupted), "
         "prompt_tokens, completion_tokens, seed, timings.",
         flag_value(json_)},
        {"--stats", "", "Print times, rates, memory and seed on stderr.", std::move(stats)}}},
      {"Model and machine", std::move(model)},
  };
}

std::vector<TokenId> Generate::encode_prompt(const Model& model, const std::optional<std::string>& prompt) const {
  const Config& config = model.config();
  std::vector<TokenId> ids;
  if (tokens_) {
    ids = parse_token_ids(*tokens_, config.n_vocab, "--tokens");
  } else {
    model.tokenizer().encode(*prompt, special_ ? Specials::parse : Specials::as_text, ids);
  }
  if (ids.empty()) {
    if (config.bos_token_id < 0) {
      fail(ExitCode::input, "the prompt is empty, and the model has no beginning-of-text token");
    }
    ids.push_back(config.bos_token_id);
  }
  if (ids.size() > config.n_ctx) {
    fail(ExitCode::input, "the prompt has " + std::to_string(ids.size()) + " tokens, the model's context only " +
                              std::to_string(config.n_ctx));
  }
  return ids;
}

void Generate::note_on_prompt(const std::string& prompt) const {
  if (!shows_notes(model_.verbosity) || (!prompt.ends_with(' ') && !prompt.ends_with('\t'))) return;
  say("note: the prompt ends in a space; GPT-2's words begin with theirs, so the text is better without it");
}

EngineOptions Generate::engine_options(const Model& model, size_t prompt_tokens) const {
  EngineOptions options;
  options.kernels = &choose_kernels();
  options.threads = threads_ ? *threads_ : choose_threads().threads;
  options.kv_type = kv_type_of(kv_, model);
  options.prefill_chunk = std::min(static_cast<uint32_t>(prompt_tokens), kPrefillChunk);
  return options;
}

void Generate::note_on_machine(const Generation& generation) const {
  if (model_.verbosity != Verbosity::verbose) return;
  const std::string why = threads_ ? "-t" : choose_threads().reason;
  say("model " + printable(generation.model, 400) + ", kernels " + std::string(generation.kernels) + ", threads " +
      std::to_string(generation.threads) + " (" + why + "), prompt tokens " + std::to_string(generation.prompt.size()) +
      ", seed " + std::to_string(generation.seed));
}

Request Generate::request(uint64_t seed) const {
  Request request;
  request.sampling = sampling_;
  request.sampling.greedy = greedy_ || sampling_.temperature < kColdest;
  request.seed = seed;
  request.max_new_tokens = max_new_tokens_;
  request.ignore_eos = ignore_eos_;
  return request;
}

// Prefills and generates until an end or a signal; each token's text goes to `out` (nullptr: nowhere) at once.
void Generate::stream(Engine& engine, Generation& generation, TextStream* out) const {
  const Model& model = engine.model();
  generation.finish_reason = "interrupted";
  const auto prefill_start = Clock::now();
  std::optional<Prefix> prefix = engine.prefill(generation.prompt, &interrupt_flag());
  generation.prefill_ms = milliseconds_since(prefill_start);
  if (!prefix) return;
  engine.insert(std::move(*prefix), request(generation.seed));
  const auto decode_start = Clock::now();
  auto last = decode_start;
  for (StepResult step; step.finish == FinishReason::running && !interrupt_flag();) {
    step = engine.generate().front();
    if (step.finish == FinishReason::nonfinite) {
      fail(ExitCode::model,
           printable(model.name(), 400) + ": logits are not finite: the weights are damaged or unusable");
    }
    if (step.finish != FinishReason::running) generation.finish_reason = finish_reason_name(step.finish);
    if (!step.token) continue;
    if (step.finish != FinishReason::eos) {
      const std::string_view bytes = model.tokenizer().token_bytes(*step.token);
      generation.text += bytes;
      if (out != nullptr) out->push(bytes);
    }
    if (generation.completion.empty()) {
      generation.first_token_ms = milliseconds_since(start_);
    } else {
      generation.token_intervals_ms.push_back(static_cast<float>(milliseconds_since(last)));
    }
    last = Clock::now();
    generation.completion.push_back(*step.token);
  }
  generation.decode_ms = milliseconds_since(decode_start);
}

void Generate::report(const Generation& generation) const {
  if (json_) write_output(generation_json(generation));
  if (stats_ == Stats::none) return;
  const std::string text = stats_ == Stats::json ? stats_json(generation) : stats_table(generation);
  std::fputs(text.c_str(), stderr);
}

int Generate::run(const std::vector<std::string>& operands) {
  if (tokens_ && (file_ || !operands.empty())) fail(ExitCode::usage, "generate: give a prompt or --tokens, not both");
  std::optional<std::string> prompt;
  if (!tokens_) {
    prompt = read_text("generate", operands, {file_, FinalNewline::drop, kMaxPromptBytes});
    if (!prompt) {
      std::fputs(("gpt2: generate: no prompt given\n\n" + short_help(*this)).c_str(), stderr);
      return static_cast<int>(ExitCode::usage);
    }
    note_on_prompt(*prompt);
  }
  Generation generation;
  const auto load_start = Clock::now();
  const Model model = load_model(model_);
  generation.load_ms = milliseconds_since(load_start);
  generation.prompt = encode_prompt(model, prompt);
  generation.seed = seed_ ? *seed_ : random_seed();
  const EngineOptions options = engine_options(model, generation.prompt.size());
  generation.model = model.name();
  generation.kernels = options.kernels->name;
  generation.threads = options.threads;
  note_on_machine(generation);
  const size_t most = std::min<size_t>(max_new_tokens_, model.config().n_ctx - generation.prompt.size() + 1);
  generation.completion.reserve(most);
  generation.token_intervals_ms.reserve(most);

  const bool on_terminal = is_terminal(STDOUT_FILENO);
  TextStream out(on_terminal ? TextStream::Target::terminal : TextStream::Target::pipe);
  catch_interrupts();
  Engine engine(model, options);
  const bool echoes = echo_ == Echo::always || (echo_ == Echo::automatic && on_terminal);
  if (echoes && !json_) out.push(prompt ? *prompt : model.tokenizer().decode(generation.prompt));
  stream(engine, generation, json_ ? nullptr : &out);
  if (!json_) out.finish();
  report(generation);
  if (interrupt_flag()) throw Interrupted{};
  return static_cast<int>(ExitCode::ok);
}

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace gpt2
