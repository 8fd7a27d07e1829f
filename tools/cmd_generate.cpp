// gpt2 generate: continues one text token by token, or many texts record by record.
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "src/base/error.h"
#include "src/engine/batcher.h"
#include "src/engine/chat.h"
#include "src/engine/infill.h"
#include "src/engine/prompt_cache.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/escapes.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/made_from.h"
#include "tools/many_arguments.h"
#include "tools/prompt.h"
#include "tools/prompt_run.h"
#include "tools/record_run.h"
#include "tools/request_arguments.h"
#include "tools/signals.h"
#include "tools/speculation_arguments.h"
#include "tools/streams.h"
#include "tools/terminal.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxPromptBytes = uint64_t{64} << 20;

enum class Echo { automatic, always, never };
enum class Stats { none, table, json };

using Clock = std::chrono::steady_clock;

uint64_t random_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) fail_errno("getrandom", "draw a seed", errno);
  return drawn_seed(seed);
}

class Generate final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  std::optional<std::string> read_prompt(const std::vector<std::string>& operands) const;
  std::optional<Gap> read_gap() const;
  bool has_gap() const noexcept { return prefix_ || suffix_; }
  std::vector<TokenId> encode_prompt(const Model& model, const std::optional<std::string>& prompt) const;
  void check_gap(const std::vector<std::string>& operands) const;
  void note_on_prompt(const std::string& prompt) const;
  void note_on_rows(const Model& model, uint64_t n_prompt) const;
  void note_on_machine(const Engine& engine, uint32_t wanted_threads, const std::string& more) const;
  void check(const std::vector<std::string>& operands) const;
  Model load();
  int run_one(const std::optional<std::string>& prompt);
  int run_many();
  void generate(const Model& model, Generation& generation, std::string prompt);
  InputFiles inputs() const;
  std::vector<int32_t> load_cache(Engine& engine) const;
  void save_cache(Engine& engine, const std::vector<int32_t>& prompt, const std::vector<int32_t>& known) const;
  template <class Figures>
  void report(const Figures& figures) const;

  ModelChoice model_;
  EngineArguments engine_;
  std::optional<std::string> file_, tokens_, prefix_, suffix_, prompt_cache_;
  std::optional<Gap> gap_;
  bool escape_ = false, json_ = false, no_newline_ = false;
  RequestArguments request_;
  ManyArguments many_;
  SpeculationArguments speculation_;
  Echo echo_ = Echo::automatic;
  Stats stats_ = Stats::none;
  Clock::time_point start_ = Clock::now();
  double load_ms_ = 0;
};

CommandText Generate::text() const {
  return {
      "generate", "[PROMPT]", "Continues a text.",
      "The prompt is PROMPT; or a file's text with -f; or, when neither is given and stdin is not a terminal, all of "
      "stdin. One newline (LF or CRLF) at the end of a file or of stdin is dropped, and UTF-8's byte order mark at its "
      "beginning; nothing else is changed. A PROMPT of - stands for stdin and can stand between other texts, which are "
      "joined to it. When PROMPT is given, stdin is not read. An empty prompt starts from the model's "
      "beginning-of-text token.\n"
      "Only generated text goes to stdout, and a newline after it if it does not end in one (--no-newline: none in a "
      "pipe). It appears as soon as its bytes are whole characters: as they are in a pipe; on a terminal, bytes that "
      "are no character as U+FFFD and control characters as \\xNN.\n"
      "A token is drawn with the formulas and in the order of Hugging Face's generate: --logit-bias, "
      "--repetition-penalty, --frequency-penalty and --presence-penalty (OpenAI's formulas), --no-repeat-ngram, "
      "--min-new-tokens, --forbid-token; then, unless --greedy takes the most likely token, --temperature, --top-k, "
      "--top-p, --min-p, --typical-p, each on what the one before has left. The same model, prompt, options and seed "
      "give the same text, whatever the number of threads.\n"
      "The text ends with the model's end-of-text token, before the first --stop string, after -n tokens, or where the "
      "model's context is full; --json says which (finish_reason eos, stop, length, context), and no_token when the "
      "options forbid every token.\n"
      "Ctrl-C stops after the current token, a second one at once.\n"
      "Many prompts (--lines, --null, --jsonl) are read as they come, computed together, and their results written in "
      "order as soon as each is done; what a prompt gives depends on nothing beside it. A JSONL record is an object "
      "with prompt or tokens, an id (a string or a whole number; default: its index from 0), and any option of prompt, "
      "length, choice, samples and logprobs as a key (max_new_tokens, top_p, stop, ...), which counts for this record "
      "instead of the command line's; the options' other names are keys too (max_tokens, n_predict, temp, ...), and "
      "null is as good as no key; lists as arrays, logit_bias as {\"ID\": X}. A record has at most 16 MiB and 262144 "
      "values. Its result has id, index, sample, text, tokens, finish_reason, stop, usage, seed, and made_from, a key "
      "of its prompt, options, seed, model and class of arithmetic, by which --resume knows what is its own; its seed, "
      "made from -s and its index, repeats it alone. A bad record gives an object with error {code, message} in its "
      "place (with --lines and --null an empty text, and a line on stderr), the others go on, and the exit status is "
      "6.",
      "gpt2 generate \"Once upon a time\"\n"
      "gpt2 generate --greedy -n 40 \"The old captain said\"\n"
      "gpt2 generate -m model.gpt2 -T 0.8 --top-p 0.95 -s 42 < prompt.txt\n"
      "git log -5 | gpt2 generate -m model.gpt2 - $'\\n\\nSummary:'\n"
      "gpt2 generate -N 3 --stop . \"The sea was\"\n"
      "gpt2 generate --json \"Alice was\" | jq -r .text\n"
      "gpt2 generate --jsonl -s 1 -o out.jsonl --resume < prompts.jsonl"};
}

std::vector<OptionGroup> Generate::options() {
  std::vector<Option> model = model_options(model_);
  for (Option& option : engine_.options()) model.push_back(std::move(option));
  std::vector<Option> prompt = {
      {"-f,--file", "", "Read the prompt, or many, from FILE (-: stdin).", name_value("FILE", file_)},
      {"--tokens", "", "The prompt as token ids: \"464,1545,318\".", text_value("IDS", tokens_)},
      {"-e,--escape", "",
       "Backslash escapes in PROMPT, --lines and --stop: \\n \\t \\r \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH (a "
       "byte) \\uHHHH \\UHHHHHHHH (a character).",
       flag_value(escape_)}};
  prompt.push_back({"--prefix", "",
                    "Fill in the middle, with a model that was taught to: write what stands between the text of FILE "
                    "and that of --suffix (-: stdin), which are taken as they are, final newlines included.",
                    name_value("FILE", prefix_)});
  prompt.push_back({"--suffix", "", "The text behind the gap that --prefix begins.", name_value("FILE", suffix_)});
  for (Option& option : request_.prompt_options()) prompt.push_back(std::move(option));
  prompt.push_back({"--prompt-cache", "",
                    "Keep the computed prompt in FILE: a later prompt that begins alike computes only the rest. The "
                    "text is the same; a file of another model, or a damaged one, is made anew; a file that is no "
                    "prompt cache is refused. Whole blocks of 64 tokens are kept, so a shorter prompt gives no file "
                    "(-v says so).",
                    name_value("FILE", prompt_cache_)});
  prompt.push_back(
      {"--echo", "", "Print the prompt before its continuation; auto: on a terminal (default).",
       choice_value(echo_, {{"auto", Echo::automatic}, {"always", Echo::always}, {"never", Echo::never}})});
  OptionValue stats = choice_value(stats_, {{"", Stats::table}, {"json", Stats::json}});
  stats.metavar = "json";
  stats.expected = "--stats or --stats=json";
  stats.presence = OptionValue::Presence::optional;
  std::vector<Option> output = {{"--json", "",
                                 "Print one JSON object instead of the text, as --jsonl does a line: id, index, "
                                 "sample, text, tokens, finish_reason (eos, stop, length, context, no_token, "
                                 "interrupted), stop, usage {prompt_tokens, prompt_tokens_dropped, completion_tokens}, "
                                 "seed; and timings. (Until version 0.3 the counts of usage stand beside it too.)",
                                 flag_value(json_)}};
  for (Option& option : request_.result_options()) output.push_back(std::move(option));
  output.push_back(
      {"--no-newline", "", "Do not end one text with a newline in a pipe or a file.", flag_value(no_newline_)});
  output.push_back({"--stats", "", "Print times, rates, memory and seed on stderr.", std::move(stats)});
  std::vector<Option> many = many_.format_options();
  for (Option& option : many_.run_options()) many.push_back(std::move(option));
  return {{"Prompt", std::move(prompt)},
          {"Length", request_.length_options()},
          {"Choice of a token, in this order", request_.sampling.options()},
          {"Samples", request_.sample_options()},
          {"Many prompts", std::move(many)},
          {"Speculation", speculation_.options()},
          {"Output", std::move(output)},
          {"Model and machine", std::move(model)}};
}

std::vector<TokenId> Generate::encode_prompt(const Model& model, const std::optional<std::string>& prompt) const {
  const Specials specials = request_.special ? Specials::parse : Specials::as_text;
  if (gap_) return infill_prompt(model, *gap_, specials);
  std::vector<TokenId> ids = tokens_ ? parse_token_ids(*tokens_, model.config().n_vocab, "--tokens")
                                     : model.tokenizer().encode(*prompt, specials);
  begin_text(model.config(), ids);
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

std::optional<Gap> Generate::read_gap() const {
  if (!has_gap()) return std::nullopt;
  return Gap{read_input_file(*prefix_, kMaxPromptBytes), read_input_file(*suffix_, kMaxPromptBytes)};
}

void Generate::note_on_prompt(const std::string& prompt) const {
  if (!shows_notes(model_.verbosity) || (!prompt.ends_with(' ') && !prompt.ends_with('\t'))) return;
  say("note: the prompt ends in a space; GPT-2's words begin with theirs, so the text is better without it");
}

void Generate::note_on_rows(const Model& model, uint64_t n_prompt) const {
  const std::string note = rows_note(model.config(), model.name(), n_prompt);
  if (!note.empty() && shows_notes(model_.verbosity)) say(note);
}

void Generate::note_on_machine(const Engine& engine, uint32_t wanted_threads, const std::string& more) const {
  const EngineOptions& options = engine.options();
  if (model_.verbosity == Verbosity::quiet ||
      (model_.verbosity != Verbosity::verbose && options.threads == wanted_threads))
    return;
  const std::string threads = "threads " + threads_text(engine_.thread_choice(), options.threads);
  if (model_.verbosity != Verbosity::verbose) return say(threads);
  say("model " + printable(engine.model().name(), 400) + ", kernels " + std::string(options.kernels->name) + ", " +
      threads + ", " + more + ", seed " + std::to_string(*request_.seed));
}

template <class Figures>
void Generate::report(const Figures& figures) const {
  if (stats_ == Stats::none) return;
  const std::string text = stats_ == Stats::json ? stats_json(figures) : stats_table(figures);
  write_stderr(text);
}

void Generate::check_gap(const std::vector<std::string>& operands) const {
  const auto refuse = [](const char* message) { fail(ExitCode::usage, std::string("generate: ") + message); };
  if (!prefix_ || !suffix_) refuse("a gap stands between --prefix and --suffix; give both (an empty file for no text)");
  if (tokens_ || file_ || !operands.empty()) refuse("give a prompt, or --prefix and --suffix, not both");
  if (many_.wanted()) refuse("--prefix and --suffix are for one gap; records have the keys prefix and suffix");
  if (*prefix_ == "-" && *suffix_ == "-") refuse("- (stdin) can be given once");
  if (echo_ == Echo::always) refuse("--echo is for a prompt without a gap");
  if (const char* reason = request_.gap_fault()) refuse(reason);
}

void Generate::check(const std::vector<std::string>& operands) const {
  const auto refuse = [](const char* message) { fail(ExitCode::usage, std::string("generate: ") + message); };
  if (has_gap()) check_gap(operands);
  if (tokens_ && (file_ || !operands.empty())) refuse("give a prompt or --tokens, not both");
  many_.check(json_);
  if (many_.wanted() && (tokens_ || !operands.empty())) refuse("many prompts come from --file or stdin; give no other");
  if (many_.wanted() && echo_ == Echo::always) refuse("--echo is for one prompt");
  if (prompt_cache_ == "-") refuse("--prompt-cache is a file, not stdout (./- is one of that name)");
  if (many_.wanted() && prompt_cache_) refuse("--prompt-cache is for one prompt");
  if (no_newline_ && (many_.wanted() || request_.n_samples > 1)) refuse("--no-newline is for one text");
  const bool json = json_ || (many_.wanted() && many_.format() == RecordFormat::jsonl);
  if (request_.logprobs && !json) refuse("--logprobs needs --json or --jsonl");
}

// Opens the model and refuses options that do not fit it.
Model Generate::load() {
  const auto start = Clock::now();
  Model model = load_model(model_);
  load_ms_ = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  request_.resolve(model.config());
  if (!request_.seed) request_.seed = random_seed();
  return model;
}

InputFiles Generate::inputs() const {
  InputFiles inputs;
  if (has_gap()) {
    inputs.add(*prefix_, "--prefix");
    inputs.add(*suffix_, "--suffix");
  } else {
    inputs.add(file_.value_or("-"), file_ ? "-f" : "the input");
  }
  gpt2::add_inputs(model_, "-m", inputs);
  speculation_.add_inputs(inputs);
  if (prompt_cache_) inputs.add_descriptor(STDOUT_FILENO, "stdout", "the text on");
  return inputs;
}

// The tokens that the file has for the engine. A file that is not there is no news, one that cannot be used is a note.
std::vector<int32_t> Generate::load_cache(Engine& engine) const {
  if (access(prompt_cache_->c_str(), F_OK) != 0) return {};
  try {
    return load_prompt_cache(*prompt_cache_, engine);
  } catch (const Error& error) {
    if (error.code() != ExitCode::model) throw;
    if (shows_notes(model_.verbosity)) say("note: the prompt is computed anew: " + std::string(error.what()));
    return {};
  }
}

// Unless the file has these blocks already.
void Generate::save_cache(Engine& engine, const std::vector<int32_t>& prompt, const std::vector<int32_t>& known) const {
  const size_t whole = prompt.size() / kBlockPositions * kBlockPositions;
  if (whole == 0 && model_.verbosity == Verbosity::verbose) {
    say(printable(*prompt_cache_, 400) + ": not written: the prompt has " + std::to_string(prompt.size()) +
        " tokens, and whole blocks of " + std::to_string(kBlockPositions) + " are kept");
  }
  if (known.size() >= whole &&
      std::equal(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(whole), prompt.begin()))
    return;
  save_prompt_cache(*prompt_cache_, prompt, engine, inputs());
}

void Generate::generate(const Model& model, Generation& generation, std::string prompt) {
  BatcherOptions options;
  options.engine = engine_.resolve(model);
  options.engine.prefix_cache = prompt_cache_.has_value();
  options.engine.kv_blocks = 2 * blocks_of(model.config().n_ctx);
  if (!request_.resolve(model.config()).slide) {
    options.engine.prefill_chunk =
        std::min(static_cast<uint32_t>(generation.prompt.size()), options.engine.prefill_chunk);
  }
  const std::optional<Model> draft = speculation_.load_draft(model, model_.verbosity);
  options.speculation = speculation_.resolve(draft ? &*draft : nullptr);
  generation.model = model.name();
  generation.kernels = options.engine.kernels->name;
  catch_interrupts();
  Batcher batcher(model, options);
  generation.threads = batcher.engine().options().threads;
  note_on_machine(batcher.engine(), options.engine.threads,
                  "prompt tokens " + std::to_string(generation.prompt.size()));
  note_on_rows(model, generation.prompt.size());
  const std::vector<int32_t> known = prompt_cache_ ? load_cache(batcher.engine()) : std::vector<int32_t>();
  const bool echo_wanted = echo_ == Echo::always || (echo_ == Echo::automatic && is_terminal(STDOUT_FILENO));
  const bool echoes = !json_ && !gap_ && echo_wanted;
  PromptRun::Output output = {json_, !no_newline_, echoes ? std::optional(std::move(prompt)) : std::nullopt};
  PromptRun(batcher, request_, std::move(output), start_).write_samples(generation);
  model.check_unchanged();
  if (draft) draft->check_unchanged();
  if (prompt_cache_) save_cache(batcher.engine(), generation.prompt, known);
  if (batcher.speculation_stats() != nullptr) generation.speculation = *batcher.speculation_stats();
}

int Generate::run_one(const std::optional<std::string>& prompt) {
  const Model model = load();
  Generation generation;
  generation.load_ms = load_ms_;
  generation.seed = *request_.seed;
  generation.prompt = encode_prompt(model, prompt);
  if (gap_) {
    for (std::string& end : infill_ends(model)) request_.stops.push_back(std::move(end));
  }
  std::string echo = prompt ? *prompt : model.tokenizer().decode(generation.prompt);
  generation.n_dropped = request_.fit(generation.prompt, model.config().n_ctx);
  if (generation.n_dropped > 0 && shows_notes(model_.verbosity)) {
    say("note: the first " + std::to_string(generation.n_dropped) + " of the prompt's " +
        std::to_string(generation.n_dropped + generation.prompt.size()) + " tokens were dropped");
  }
  generate(model, generation, std::move(echo));
  report(generation);
  if (interrupt_flag()) throw Interrupted{};
  return static_cast<int>(ExitCode::ok);
}

int Generate::run_many() {
  if (many_.run().resumes() && !request_.seed && !request_.sampling.is_greedy() && shows_notes(model_.verbosity)) {
    say("note: --resume without --seed: records without a seed of their own get other texts than the run that began "
        "would give");
  }
  const std::string path = file_.value_or("-");
  LineReader input(path, many_.format() == RecordFormat::null ? '\0' : '\n', kMaxRecordBytes);
  const Model model = load();
  RecordParser parser(model, request_, many_.format(), escape_, input.name());
  if (many_.chat()) {
    const std::optional<ChatTemplate> chat = chat_template_of(model, many_.chat_form());
    if (!chat) {
      fail_model(model.name(), "chat_template", "one, for --chat (--chat-template NAME takes that of another model)",
                 "none: the model was not taught to chat");
    }
    parser.expect_messages(*chat);
  }
  BatcherOptions options;
  options.engine = engine_.resolve(model);
  options.engine.prefix_cache = true;
  options.kv_memory = many_.run().kv_memory().value_or(0);
  const std::optional<Model> draft = speculation_.load_draft(model, model_.verbosity);
  options.speculation = speculation_.resolve(draft ? &*draft : nullptr);
  options.engine.max_slots = many_.run().batch() ? *many_.run().batch() : default_batch(model, options);
  Batcher batcher(model, options);
  note_on_machine(batcher.engine(), options.engine.threads, "batch " + std::to_string(options.engine.max_slots));
  note_on_rows(model, model.config().n_ctx);
  FinishedResults finished;
  ResultFile output = many_.run().open_output(inputs(), finished);
  catch_interrupts();
  RecordRunOptions run_options;
  run_options.format = many_.format();
  run_options.json = json_ || many_.format() == RecordFormat::jsonl;
  run_options.order = many_.run().order();
  run_options.shard = many_.run().shard();
  run_options.basis = run_basis(model, options.engine, options.speculation);
  run_options.models = {&model};
  if (draft) run_options.models.push_back(&*draft);
  // A line of progress between lines of results would disturb only the person who reads them.
  const bool shows_results = is_terminal(STDOUT_FILENO) && !many_.run().writes_file();
  run_options.verbosity = shows_results ? Verbosity::quiet : model_.verbosity;
  RecordRun run(run_options, input, parser, batcher, finished, output);
  run.run();
  RecordStats stats;
  run.report(stats);
  stats.load_ms = load_ms_;
  stats.model = model.name();
  stats.kernels = options.engine.kernels->name;
  stats.threads = batcher.engine().options().threads;
  stats.batch = options.engine.max_slots;
  stats.seed = *request_.seed;
  if (batcher.speculation_stats() != nullptr) stats.speculation = *batcher.speculation_stats();
  report(stats);
  if (interrupt_flag()) throw Interrupted{};
  return static_cast<int>(run.n_failed() > 0 ? ExitCode::records : ExitCode::ok);
}

int Generate::run(const std::vector<std::string>& operands) {
  check(operands);
  if (escape_) {
    for (std::string& stop : request_.stops) stop = unescape(stop, "generate: --stop");
  }
  if (many_.wanted()) return run_many();
  if (prompt_cache_) check_prompt_cache_path(*prompt_cache_, inputs());
  std::optional<std::string> prompt;
  gap_ = read_gap();
  if (!tokens_ && !gap_) {
    prompt = read_prompt(operands);
    if (!prompt) fail_no_input(*this, "no prompt given");
    note_on_prompt(*prompt);
  }
  return run_one(prompt);
}

}  // namespace

std::unique_ptr<Command> make_generate() { return std::make_unique<Generate>(); }

}  // namespace gpt2
