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
#include "src/engine/speculative_steps.h"
#include "src/engine/stop.h"
#include "tools/commands.h"
#include "tools/escapes.h"
#include "tools/generation.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/prompt.h"
#include "tools/sampling_arguments.h"
#include "tools/signals.h"
#include "tools/speculation_arguments.h"
#include "tools/streams.h"
#include "tools/terminal.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxPromptBytes = uint64_t{64} << 20;
constexpr uint32_t kPrefillChunk = 256;

enum class Echo { automatic, always, never };
enum class Stats { none, table, json };
enum class Overflow { stop, error, truncate_left };
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
  if (choice == KvChoice::by_model) return default_kv_type(model.weights());
  return choice == KvChoice::f32 ? KvType::f32 : KvType::f16;
}

class Generate final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  std::optional<std::string> read_prompt(const std::vector<std::string>& operands) const;
  std::vector<std::string> read_stops() const;
  std::vector<TokenId> encode_prompt(const Model& model, const std::optional<std::string>& prompt) const;
  void fit_prompt(Generation& generation, uint32_t n_ctx) const;
  void note_on_prompt(const std::string& prompt) const;
  EngineOptions engine_options(const Model& model, size_t prompt_tokens) const;
  void note_on_machine(const Generation& generation) const;
  Request request(const Config& config, uint64_t seed) const;
  bool prefill(Engine& engine, Generation& generation) const;
  // `steps`: nullptr without speculation.
  struct Decoder {
    Engine& engine;
    SpeculativeSteps* steps;
    std::span<const StepResult> generate() const { return steps != nullptr ? steps->generate() : engine.generate(); }
  };
  void decode(Decoder decoder, Generation& generation, Sample& sample, StopMatcher& stop, TextStream* out) const;
  void write_samples(Decoder decoder, Generation& generation, const std::string& echo) const;
  void generate(const Model& model, Generation& generation, const std::string& echo);
  void report(const Generation& generation) const;

  ModelChoice model_;
  std::optional<std::string> file_, tokens_;
  bool special_ = false, escape_ = false, ignore_eos_ = false, include_stop_ = false, json_ = false;
  SamplingArguments sampling_;
  SpeculationArguments speculation_;
  std::vector<std::string> stops_;
  uint32_t max_new_tokens_ = 256, n_samples_ = 1;
  Overflow overflow_ = Overflow::stop;
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
      "A token is drawn with the formulas and in the order of Hugging Face's generate: --logit-bias, "
      "--repetition-penalty, --no-repeat-ngram, --min-new-tokens, --forbid-token; then, unless --greedy takes the most "
      "likely token, --temperature, --top-k, --top-p, --min-p, --typical-p, each on what the one before has left. The "
      "same model, prompt, options and seed give the same text, whatever the number of threads.\n"
      "The text ends with the model's end-of-text token, before the first --stop string, after -n tokens, or where the "
      "model's context is full; --json says which (finish_reason eos, stop, length, context), and no_token when the "
      "options forbid every token.\n"
      "Ctrl-C stops after the current token, a second one at once.",
      "gpt2 generate \"Once upon a time\"\n"
      "gpt2 generate --greedy -n 40 \"The old captain said\"\n"
      "gpt2 generate -m model.gpt2 -T 0.8 --top-p 0.95 -s 42 < prompt.txt\n"
      "git log -5 | gpt2 generate -m model.gpt2 - $'\\n\\nSummary:'\n"
      "gpt2 generate -N 3 --stop . \"The sea was\"\n"
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
        {"-e,--escape", "",
         "Backslash escapes in PROMPT and --stop: \\n \\t \\r \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH (a byte) "
         "\\uHHHH \\UHHHHHHHH (a character).",
         flag_value(escape_)},
        {"--on-overflow", "",
         "Prompt and text longer than the model's context. stop (default): the text ends where the context does; error: "
         "refused if -n tokens cannot fit after the prompt; truncate-left: the prompt's beginning is dropped as far as "
         "-n tokens need, at most to half of the context. Without truncate-left a prompt that is longer is an error.",
         choice_value(overflow_, {{"stop", Overflow::stop},
                                  {"error", Overflow::error},
                                  {"truncate-left", Overflow::truncate_left}})},
        {"--echo", "", "Print the prompt before its continuation; auto: on a terminal (default).",
         choice_value(echo_, {{"auto", Echo::automatic}, {"always", Echo::always}, {"never", Echo::never}})}}},
      {"Length",
       {{"-n,--max-new-tokens", "--max-tokens,--n-predict,--predict",
         "Tokens to generate at most (default 256). The end of the model's context is always an end; 0 only computes "
         "the prompt.",
         whole_value(max_new_tokens_, 0, kMax)},
        {"--ignore-eos", "", "Go on after the end-of-text token.", flag_value(ignore_eos_)},
        {"--stop", "--reverse-prompt",
         "End before TEXT, however its bytes fall into tokens; can be given several times.",
         texts_value("TEXT", stops_)},
        {"--include-stop", "", "Print the --stop text that ended the text.", flag_value(include_stop_)}}},
      {"Choice of a token, in this order", sampling_.options()},
      {"Samples",
       {{"-N,--samples", "--num-samples,--num-return-sequences",
         "Continue the prompt N times (default 1), each time with other draws. Each text ends with a newline; --json "
         "prints an object a line.",
         whole_value(n_samples_, 1, kMax)},
        {"-s,--seed", "", "The same seed gives the same text (default: a random one, which --json and --stats tell).",
         seed_value(seed_)}}},
      {"Speculation", speculation_.options()},
      {"Output",
       {{"--json", "",
         "Print one JSON object instead of the text: sample, text, tokens, finish_reason (eos, stop, length, context, "
         "no_token, interrupted), stop, prompt_tokens, prompt_tokens_dropped, completion_tokens, seed, timings.",
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
  return ids;
}

// The prompt without its final newline, escapes undone; nothing if there is none.
std::optional<std::string> Generate::read_prompt(const std::vector<std::string>& operands) const {
  std::vector<std::string> words = operands;
  if (escape_) {
    for (std::string& word : words) {
      if (word != "-") word = unescape(word, "generate: --escape");
    }
  }
  return read_text("generate", words, {file_, FinalNewline::drop, kMaxPromptBytes});
}

std::vector<std::string> Generate::read_stops() const {
  std::vector<std::string> stops = stops_;
  if (escape_) {
    for (std::string& stop : stops) stop = unescape(stop, "generate: --stop");
  }
  return stops;
}

// Makes the prompt fit the context as --on-overflow says. The last token that is generated needs no position.
void Generate::fit_prompt(Generation& generation, uint32_t n_ctx) const {
  const size_t n_prompt = generation.prompt.size();
  const size_t room = max_new_tokens_ > n_ctx ? 0 : size_t{n_ctx} + (max_new_tokens_ > 0 ? 1 : 0) - max_new_tokens_;
  if (overflow_ == Overflow::truncate_left) {
    const size_t most = std::max<size_t>(room, (size_t{n_ctx} + 1) / 2);
    generation.n_dropped = n_prompt > most ? n_prompt - most : 0;
    const auto begin = generation.prompt.begin();
    generation.prompt.erase(begin, begin + static_cast<ptrdiff_t>(generation.n_dropped));
    if (generation.n_dropped > 0 && shows_notes(model_.verbosity)) {
      say("note: the first " + std::to_string(generation.n_dropped) + " of the prompt's " + std::to_string(n_prompt) +
          " tokens were dropped");
    }
    return;
  }
  if (n_prompt > n_ctx) {
    fail(ExitCode::input, "the prompt has " + std::to_string(n_prompt) + " tokens, the model's context only " +
                              std::to_string(n_ctx) + " (--on-overflow truncate-left drops its beginning)");
  }
  if (overflow_ == Overflow::error && n_prompt > room) {
    fail(ExitCode::input, "the prompt has " + std::to_string(n_prompt) + " tokens and -n asks for " +
                              std::to_string(max_new_tokens_) + " more, the model's context has only " +
                              std::to_string(n_ctx) + " (--on-overflow error)");
  }
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

Request Generate::request(const Config& config, uint64_t seed) const {
  Request request;
  request.sampling = sampling_.resolve(config);
  request.seed = seed;
  request.max_new_tokens = max_new_tokens_;
  request.ignore_eos = ignore_eos_;
  return request;
}

// False if a signal came first.
bool Generate::prefill(Engine& engine, Generation& generation) const {
  const auto start = Clock::now();
  std::optional<Prefix> prefix = engine.prefill(generation.prompt, &interrupt_flag());
  generation.prefill_ms = milliseconds_since(start);
  if (!prefix) return false;
  engine.insert(std::move(*prefix), request(engine.model().config(), generation.seed));
  return true;
}

// Generates until an end or a signal; text goes to `out` (nullptr: nowhere) as soon as no stop string can begin in it.
void Generate::decode(Decoder decoder, Generation& generation, Sample& sample, StopMatcher& stop, TextStream* out) const {
  const Model& model = decoder.engine.model();
  sample.finish_reason = "interrupted";
  const auto start = Clock::now();
  auto last = start;
  const auto print = [&](size_t begin) {
    if (out != nullptr) out->push(std::string_view(sample.text).substr(begin));
  };
  for (StepResult step; step.finish == FinishReason::running && !stop.matched() && !interrupt_flag();) {
    step = decoder.generate().front();
    if (step.finish == FinishReason::nonfinite) {
      fail(ExitCode::model,
           printable(model.name(), 400) + ": logits are not finite: the weights are damaged or unusable");
    }
    if (step.finish != FinishReason::running) sample.finish_reason = finish_reason_name(step.finish);
    for (size_t i = 0; i < step.tokens.size() && !stop.matched(); ++i) {
      const TokenId token = step.tokens[i];
      if (step.finish != FinishReason::eos || i + 1 < step.tokens.size()) {
        const size_t before = sample.text.size();
        stop.push(model.tokenizer().token_bytes(token), sample.text);
        print(before);
      }
      if (generation.n_tokens == 0) generation.first_token_ms = milliseconds_since(start_);
      if (!sample.tokens.empty()) generation.token_intervals_ms.push_back(static_cast<float>(milliseconds_since(last)));
      last = Clock::now();
      sample.tokens.push_back(token);
      ++generation.n_tokens;
    }
  }
  if (stop.matched()) {
    sample.finish_reason = "stop";
    sample.stop = stop.stop();
  } else {
    const size_t before = sample.text.size();
    stop.finish(sample.text);
    print(before);
  }
  sample.decode_ms = milliseconds_since(start);
  generation.decode_ms += sample.decode_ms;
  generation.n_steps += sample.tokens.empty() ? 0 : sample.tokens.size() - 1;
  generation.finish_reason = sample.finish_reason;
}

void Generate::write_samples(Decoder decoder, Generation& generation, const std::string& echo) const {
  Engine& engine = decoder.engine;
  const bool on_terminal = is_terminal(STDOUT_FILENO);
  const bool echoes = !json_ && (echo_ == Echo::always || (echo_ == Echo::automatic && on_terminal));
  TextStream out(on_terminal ? TextStream::Target::terminal : TextStream::Target::pipe);
  StopMatcher stop(read_stops(), include_stop_ ? StopMatcher::Keep::stop : StopMatcher::Keep::nothing);
  if (echoes) out.push_faint(echo);
  const bool computed = prefill(engine, generation);
  generation.finish_reason = "interrupted";
  for (uint32_t i = 0; i < n_samples_ && (i == 0 || !interrupt_flag()); ++i) {
    Sample sample;
    sample.index = i;
    sample.finish_reason = "interrupted";
    sample.tokens.reserve(std::min<size_t>(max_new_tokens_, engine.model().config().n_ctx + 1 - generation.prompt.size()));
    if (i > 0) {
      engine.restart(0, i);
      stop.reset();
      if (echoes) out.push_faint(echo);
    }
    if (computed) decode(decoder, generation, sample, stop, json_ ? nullptr : &out);
    ++generation.n_samples;
    if (json_) {
      write_output(sample_json(generation, sample));
    } else {
      out.finish();
      if (n_samples_ > 1) out.end_line();
    }
  }
}

void Generate::report(const Generation& generation) const {
  if (stats_ == Stats::none) return;
  const std::string text = stats_ == Stats::json ? stats_json(generation) : stats_table(generation);
  std::fputs(text.c_str(), stderr);
}

void Generate::generate(const Model& model, Generation& generation, const std::string& echo) {
  EngineOptions options = engine_options(model, generation.prompt.size());
  const std::optional<Model> draft = speculation_.load_draft(model_.verbosity);
  std::optional<Speculation> speculation;
  if (speculation_.wanted()) {
    options.max_draft = speculation_.max_draft();
    speculation.emplace(model, speculation_.resolve(draft ? &*draft : nullptr), *options.kernels, options.threads,
                        options.max_slots);
  }
  generation.model = model.name();
  generation.kernels = options.kernels->name;
  generation.threads = options.threads;
  note_on_machine(generation);
  catch_interrupts();
  Engine engine(model, options);
  std::optional<SpeculativeSteps> steps;
  if (speculation) steps.emplace(engine, *speculation);
  write_samples({engine, steps ? &*steps : nullptr}, generation, echo);
  if (speculation) generation.speculation = speculation->stats();
}

int Generate::run(const std::vector<std::string>& operands) {
  if (tokens_ && (file_ || !operands.empty())) fail(ExitCode::usage, "generate: give a prompt or --tokens, not both");
  read_stops();
  std::optional<std::string> prompt;
  if (!tokens_) {
    prompt = read_prompt(operands);
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
  sampling_.resolve(model.config());
  generation.prompt = encode_prompt(model, prompt);
  const std::string echo = prompt ? *prompt : model.tokenizer().decode(generation.prompt);
  fit_prompt(generation, model.config().n_ctx);
  generation.seed = seed_ ? *seed_ : random_seed();
  generate(model, generation, echo);
  report(generation);
  if (interrupt_flag()) throw Interrupted{};
  return static_cast<int>(ExitCode::ok);
}

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace gpt2
