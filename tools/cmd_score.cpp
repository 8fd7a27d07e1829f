// gpt2 score: what texts are worth to a model: the surprisal of each, of its lines, words or tokens.
#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/base/memory_limit.h"
#include "src/io/output_file.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/figures.h"
#include "tools/format.h"
#include "tools/generation.h"
#include "tools/heat.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/made_from.h"
#include "tools/run_arguments.h"
#include "tools/score_page.h"
#include "tools/score_rows.h"
#include "tools/score_run.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint32_t kUsualWindow = 1024;
// Rows of a step, every one of which has logits: a step reads the weights once for all of them.
constexpr uint32_t kStepRows = 512, kMostTexts = 128;
constexpr uint64_t kUsualKvMemory = uint64_t{1} << 30;

enum class Stats { none, table, json };
enum class Heat { none, automatic, color, marks };

class Score final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  std::optional<RecordFormat> format_of_input() const;
  void choose_rows();
  void check() const;
  void set_windows(const Config& config, ScoreRunOptions& options) const;
  BatcherOptions batcher_options(const Model& model) const;
  std::string basis(const Model& model, const EngineOptions& engine, const ScoreRunOptions& options) const;
  HeatStyle heat_style() const;
  std::string result(const ScoredRecord& scored, const ScoreRows& rows, ScorePage* page) const;
  void note_on_machine(const Engine& engine) const;
  void report(const ScoreRun& run, const Batcher& batcher) const;

  ModelChoice model_;
  EngineArguments engine_;
  RunArguments run_;
  bool lines_ = false, null_ = false, jsonl_ = false;
  bool special_ = false, no_header_ = false, has_columns_ = false, word_correction_ = false;
  ScoreParser::Bos bos_ = ScoreParser::Bos::automatic;
  std::optional<uint32_t> window_, stride_;
  std::optional<std::string> html_;
  Heat heat_ = Heat::none;
  std::optional<ScoreFormat> format_;
  ScoreRowsOptions rows_;
  Stats stats_ = Stats::none;
};

CommandText Score::text() const {
  return {
      "score", "[FILE]...", "Says how surprising texts are to a model.",
      "Each FILE (-: stdin; none: stdin) is one text, to its last byte, or holds many with --lines, --null and "
      "--jsonl, which are computed together and written in the order of the input; what a text gives depends on "
      "nothing beside it. A token's surprisal is -log p, with p the model's probability of it behind all that "
      "stands before it; that of a word, a line or a text is the sum of its tokens', exactly: surprisal is a "
      "multiple of 2^-32, so that sums of parts are the whole to the last bit.\n"
      "The beginning-of-text token stands before each text where the model has one (--no-bos: not), so that its "
      "first token counts. Without it the first token has no surprisal, and its cell is empty (null in JSON). A "
      "text that is longer than --window is seen in windows that start --stride tokens apart; each scores the "
      "tokens that none before it has scored, so that every token is scored once, behind at least window - stride "
      "others where the text has them. The sum over a text is the NLL of gpt2 eval perplexity with --bos and the "
      "same windows.\n"
      "A JSONL record is an object with text or tokens (ids); prefix, a text that stands before it and is not "
      "scored; and an id (a string or a whole number; default: its index from 0). Its other keys are passed over, "
      "and null is as good as no key. Prefix and text become tokens each for itself. A record has at most 16 MiB "
      "and 262144 values. Beginnings that records next to each other have in common are computed once.\n"
      "Words are what white space of ASCII separates. White space before a word belongs to it, that at the end of "
      "a text is a row of its own. With --word-correction the surprisal of a word w behind the text c is\n"
      "  -log p(w | c) - log P(B | c w) + log P(B | c),\n"
      "where P(B | x) is the probability that the token behind x begins with white space or ends the text: "
      "tokenizers that put the space before the word say only there that a word has ended, and so the words in one "
      "place have probabilities that sum to one (Pimentel and Meister 2024; Oh and Schuler 2024). At the beginning "
      "of a text and behind white space P(B) is 1.\n"
      "--heat shows the texts instead of a table, each token on a colour for its surprisal in bits, under a "
      "legend. Where there are no colours (NO_COLOR, TERM=dumb, a pipe or a file), a digit below a token's first "
      "character and dots below the others are its level; a row is as wide as the terminal, or 80 columns. "
      "--heat=color writes colours into a pipe too (| less -R), --heat=marks writes none. --html FILE writes a "
      "page that needs nothing beside it: surprisal and ranks (the 10, 100 and 1000 most likely) as colours, their "
      "distribution, and what was likely in the place of the token under the pointer or the keyboard's focus; of "
      "many texts the first that have 20000 tokens together.\n"
      "TSV has control characters, backslashes and bytes that are no UTF-8 as \\n, \\t, \\\\, \\xNN; CSV and JSON "
      "have U+FFFD for such bytes. In JSON a text is one object: id, index, unit, a column a key, made_from; the "
      "values of lines, words and tokens are arrays. A bad record gives a row without values and a line on stderr "
      "(in JSON an object with error {code, message}), the others go on, and the exit status is 6.",
      "echo \"The sea was blue.\" | gpt2 score --unit word --base 2\n"
      "gpt2 score --unit token --columns text,surprisal,rank,best chapter.txt\n"
      "gpt2 score --lines --format csv sentences.txt > scores.csv\n"
      "gpt2 score --unit word --word-correction --base 2 story.txt\n"
      "gpt2 score --heat chapter.txt\n"
      "gpt2 score --html page.html chapter.txt\n"
      "gpt2 score --jsonl -o scores.jsonl --resume < corpus.jsonl"};
}

std::vector<OptionGroup> Score::options() {
  std::vector<Option> model = model_options(model_);
  for (Option& option : engine_.options()) model.push_back(std::move(option));
  OptionValue format = {"tsv|csv|jsonl", "one of tsv|csv|jsonl", [this](std::string_view text) {
                          if (text == "tsv") format_ = ScoreFormat::tsv;
                          if (text == "csv") format_ = ScoreFormat::csv;
                          if (text == "jsonl") format_ = ScoreFormat::jsonl;
                          return text == "tsv" || text == "csv" || text == "jsonl";
                        }};
  OptionValue stats = choice_value(stats_, {{"", Stats::table}, {"json", Stats::json}});
  stats.metavar = "json";
  stats.expected = "--stats or --stats=json";
  stats.presence = OptionValue::Presence::optional;
  OptionValue heat =
      choice_value(heat_, {{"", Heat::automatic}, {"color", Heat::color}, {"marks", Heat::marks}});
  heat.metavar = "color|marks";
  heat.expected = "--heat, --heat=color or --heat=marks";
  heat.presence = OptionValue::Presence::optional;
  std::vector<Option> output = {
      {"--unit", "", "What a row is of (default: document, a whole text).",
       choice_value(rows_.unit, {{"document", TextUnit::document},
                                 {"line", TextUnit::line},
                                 {"word", TextUnit::word},
                                 {"token", TextUnit::token}})},
      {"--word-correction", "", "Count the end of a word for it and not for the next one (see above).",
       flag_value(word_correction_)},
      {"--base", "", "Base of the logarithms: 2 (bits), e (nats, default) or 10.",
       choice_value(rows_.base, {{"2", LogBase::two}, {"e", LogBase::e}, {"10", LogBase::ten}})},
      {"--columns", "", "The columns, with commas between them. " + columns_help() + ".", columns_value(rows_.columns)},
      {"--format", "", "A table with tabs or commas, or a JSON object a text (default: jsonl with --jsonl, else tsv).",
       std::move(format)},
      {"--no-header", "", "No line with the names of the columns.", flag_value(no_header_)},
      {"--heat", "", "Show the texts, each token by its surprisal: in colours on a terminal, else with marks.",
       std::move(heat)},
      {"--html", "", "Write a page of the texts to FILE.", name_value("FILE", html_)},
      {"--stats", "", "Print times, rates and memory on stderr.", std::move(stats)}};
  return {{"Input",
           {{"--lines", "", "A text a line.", flag_value(lines_)},
            {"-0,--null", "", "Texts end with NUL bytes.", flag_value(null_)},
            {"--jsonl", "", "A JSON object a line: text or tokens, prefix, id.", flag_value(jsonl_)},
            {"--special", "", "Read the names of special tokens in texts as these tokens.", flag_value(special_)}}},
          {"Context",
           {{"--bos", "", "Put the beginning-of-text token first (default where the model has one).",
             flag_value(bos_, ScoreParser::Bos::yes)},
            {"--no-bos", "", "Put nothing first: a text's first token is not scored.",
             flag_value(bos_, ScoreParser::Bos::no)},
            {"--window", "", "Tokens that are seen together (default: n_positions of the model, at most 1024).",
             whole_value(window_, 2, 1u << 30)},
            {"--stride", "", "Tokens from one window's start to the next (default: half the window).",
             whole_value(stride_, 1, 1u << 30)}}},
          {"Output", std::move(output)},
          {"Many texts",
           run_.options({"Texts that are computed together (default: up to 128, as the cache's memory allows).",
                         "up to 1G and to half of what is free",
                         "Do every N-th text only, from the I-th on; they keep their index.",
                         "With -o and results as JSON: keep the results that FILE has and add those that are missing, "
                         "given the same input and options. Refused if made_from in FILE says that its results are of "
                         "other texts, options or model."})},
          {"Model and machine", std::move(model)}};
}

std::optional<RecordFormat> Score::format_of_input() const {
  if (jsonl_) return RecordFormat::jsonl;
  if (null_) return RecordFormat::null;
  return lines_ ? std::optional(RecordFormat::lines) : std::nullopt;
}

HeatStyle Score::heat_style() const {
  const bool terminal = !run_.writes_file() && is_terminal(STDOUT_FILENO);
  const bool colors = heat_ == Heat::color || (heat_ == Heat::automatic && terminal && shows_colors(STDOUT_FILENO));
  return {colors, terminal ? terminal_width(STDOUT_FILENO) : 80};
}

void Score::choose_rows() {
  rows_.format = format_.value_or(jsonl_ ? ScoreFormat::jsonl : ScoreFormat::tsv);
  has_columns_ = !rows_.columns.empty();
  if (!has_columns_) rows_.columns = default_columns(rows_.unit);
}

void Score::check() const {
  const auto refuse = [](const std::string& message) { fail(ExitCode::usage, "score: " + message); };
  if (lines_ + null_ + jsonl_ > 1) refuse("give one of --lines, --null and --jsonl");
  run_.check("score", html_ ? RunArguments::OtherOutput::file : RunArguments::OtherOutput::none);
  if (heat_ != Heat::none && (format_ || has_columns_ || rows_.unit != TextUnit::document || run_.resumes()))
    refuse("--heat stands for a table: give no --unit, --columns, --format or --resume with it");
  if (html_ && run_.resumes()) refuse("--html needs all texts: give no --resume with it");
  if (run_.resumes() && rows_.format != ScoreFormat::jsonl) refuse("--resume needs results as JSON: --format jsonl");
  if (word_correction_ && rows_.unit != TextUnit::word) refuse("--word-correction needs --unit word");
  const auto of_tokens = std::find_if(rows_.columns.begin(), rows_.columns.end(), is_of_tokens);
  if (of_tokens != rows_.columns.end() && rows_.unit != TextUnit::token)
    refuse("--columns: " + std::string(name_of(*of_tokens)) + " needs --unit token");
}

void Score::set_windows(const Config& config, ScoreRunOptions& options) const {
  options.window = window_.value_or(std::min(kUsualWindow, config.n_ctx));
  options.stride = stride_.value_or(options.window / 2);
  if (options.window < 2 || options.window > config.n_ctx) {
    fail(ExitCode::usage, "score: --window: expected 2 to " + std::to_string(config.n_ctx) +
                              ", the model's positions, found " + std::to_string(options.window));
  }
  if (options.stride >= options.window) {
    fail(ExitCode::usage, "score: --stride: expected 1 to " + std::to_string(options.window - 1) +
                              ", less than the window, found " + std::to_string(options.stride));
  }
}

BatcherOptions Score::batcher_options(const Model& model) const {
  BatcherOptions options;
  options.engine = engine_.resolve(model);
  options.engine.prefill_chunk = affordable_outputs(model.config(), kStepRows);
  options.engine.prefix_cache = jsonl_;  // only there several texts stand behind one beginning
  const uint64_t block = KvLayout(model.config(), options.engine.kv_type).block_bytes(),
                 context = blocks_of(model.config().n_ctx);
  const uint64_t memory = run_.kv_memory().value_or(std::min(kUsualKvMemory, available_memory() / 2));
  const auto slots = static_cast<uint32_t>(std::clamp<uint64_t>(memory / block, 1, kMostTexts));
  options.engine.max_slots = run_.batch().value_or(slots);
  // Of each text in a step a block that is not full and the one behind it, and a whole text twice.
  options.kv_memory = std::min(memory, block * 2 * (context + options.engine.max_slots + kStepRows / kBlockPositions));
  return options;
}

std::string Score::basis(const Model& model, const EngineOptions& engine, const ScoreRunOptions& options) const {
  HashedValues values;
  values.add(std::string_view(run_basis(model, engine, {})));
  values.add(uint64_t{options.window}).add(uint64_t{options.stride}).add(uint64_t{word_correction_});
  values.add(static_cast<uint64_t>(rows_.unit)).add(static_cast<uint64_t>(rows_.base));
  for (const ScoreColumn column : rows_.columns) values.add(name_of(column));
  return values.text();
}

void Score::note_on_machine(const Engine& engine) const {
  if (model_.verbosity != Verbosity::verbose) return;
  const EngineOptions& options = engine.options();
  say("model " + printable(engine.model().name(), 400) + ", kernels " + std::string(options.kernels->name) +
      ", threads " + threads_text(engine_.thread_choice(), options.threads) + ", up to " +
      std::to_string(options.max_slots) + " texts at once");
}

void Score::report(const ScoreRun& run, const Batcher& batcher) const {
  const BatcherStats& engine = batcher.stats();
  const double seconds = std::max(run.seconds(), 1e-9);
  const ProcessUsage process = process_usage();
  Figures figures;
  figures.whole("texts", "texts", run.n_records());
  figures.whole("failed", "failed", run.n_failed());
  figures.whole("resumed", "there before", run.n_resumed());
  figures.whole("scored_tokens", "scored tokens", run.n_scored());
  figures.whole("computed_rows", "computed rows", engine.computed_rows);
  figures.whole("cached_tokens", "tokens found computed", engine.cached_tokens);
  figures.whole("steps", "steps", engine.steps);
  figures.whole("preemptions", "preemptions", engine.preemptions);
  figures.real("seconds", "seconds", run.seconds(), 3);
  figures.real("engine_seconds", "seconds in steps", engine.seconds, 3);
  figures.real("tokens_per_s", "scored tokens/s", static_cast<double>(run.n_scored()) / seconds, 1);
  figures.whole("batch", "texts at once", batcher.engine().options().max_slots);
  figures.whole("kv_bytes", "cache, bytes", engine.pool_bytes);
  figures.whole("peak_rss_bytes", "peak memory, bytes", static_cast<uint64_t>(process.peak_rss_bytes));
  figures.whole("threads", "threads", batcher.engine().options().threads);
  const std::string kernels(batcher.engine().options().kernels->name);
  figures.add("kernels", "kernels", json_quote(kernels), kernels);
  write_stderr(stats_ == Stats::json ? figures.as_json().text() + "\n" : figures.as_table());
}

std::string Score::result(const ScoredRecord& scored, const ScoreRows& rows, ScorePage* page) const {
  if (page != nullptr) page->add(scored);
  if (scored.record.failure) {
    if (rows_.format != ScoreFormat::jsonl || heat_ != Heat::none) say(scored.record.failure->message);
    return heat_ == Heat::none ? rows.failure(scored.record) : "";
  }
  return heat_ == Heat::none ? rows.rows(scored.record, scored.text) : heat_text(scored.text, heat_style());
}

int Score::run(const std::vector<std::string>& operands) {
  choose_rows();
  check();
  if (operands.empty() && is_terminal(STDIN_FILENO)) fail_no_input(*this, "no text given");
  const std::vector<std::string> files = operands.empty() ? std::vector<std::string>{"-"} : operands;
  if (std::count(files.begin(), files.end(), "-") > 1) fail(ExitCode::usage, "score: - (stdin) can be given once");
  InputFiles inputs;
  for (const std::string& file : files) inputs.add(file, "the input");
  add_inputs(model_, "-m", inputs);
  const Model model = load_model(model_);
  ScoreRunOptions options;
  set_windows(model.config(), options);
  options.distribution = html_ || needs_distribution(rows_.columns);
  options.n_top = html_ ? kPageAlternatives : 0;
  if (word_correction_) {
    options.word_beginnings = word_beginnings(model.tokenizer(), model.config().eos_token_ids);
    if (options.word_beginnings.empty())
      fail_model(model.name(), "--word-correction", "tokens that begin with white space", "none");
  }
  options.order = run_.order();
  options.verbosity = is_terminal(STDOUT_FILENO) && !run_.writes_file() ? Verbosity::quiet : model_.verbosity;
  const ScoreParser parser(model, bos_, special_ ? Specials::parse : Specials::as_text);
  ScoreInput input(files, format_of_input(), run_.shard(), parser);
  Batcher batcher(model, batcher_options(model));
  options.basis = basis(model, batcher.engine().options(), options);
  FinishedResults finished(ResultForm::units);
  ResultFile output = run_.open_output(inputs, finished);
  const ScoreRows rows(rows_, model.tokenizer());
  std::optional<OutputFile> page_file;
  if (html_) page_file.emplace(*html_, run_.forces() ? Overwrite::replace : Overwrite::refuse, inputs);
  note_on_machine(batcher.engine());
  catch_interrupts();
  if (!no_header_) output.write(heat_ == Heat::none ? rows.header() : heat_legend(heat_style()));
  std::optional<ScorePage> page;
  if (page_file) page.emplace(model.tokenizer(), model.name());
  ScoreRun run(options, input, batcher, finished, output,
               [&](const ScoredRecord& scored) { return result(scored, rows, page ? &*page : nullptr); });
  run.run();
  if (page && !interrupt_flag()) {
    const std::string html = page->html();
    page_file->resize(html.size());
    page_file->write(0, std::as_bytes(std::span(html)));
    page_file->commit();
  }
  if (stats_ != Stats::none) report(run, batcher);
  if (interrupt_flag()) throw Interrupted{};
  return static_cast<int>(run.n_failed() > 0 ? ExitCode::records : ExitCode::ok);
}

}  // namespace

std::unique_ptr<Command> make_score() { return std::make_unique<Score>(); }

}  // namespace gpt2
