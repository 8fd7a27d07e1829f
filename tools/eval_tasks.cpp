#include "tools/eval_tasks.h"

#include <algorithm>
#include <memory>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/io/output_file.h"
#include "tools/format.h"
#include "src/io/json_object.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxFile = uint64_t{1} << 30;  // bytes
constexpr uint32_t kMostShots = 1000;

// All that a run's figures follow from.
struct Asked {
  Task task = Task::choices;
  std::vector<Example> examples;
  std::vector<std::vector<TextPair>> pairs;  // as the model gets them, where --details wants them
  std::vector<Continuation> continuations;   // of all examples, one behind the other
  std::vector<ContinuationScore> scores;
};

struct Figure {
  std::string name;
  Estimate estimate;
  std::string meaning;
};

// Calls body(number, judgement, index of its first score) for every example.
template <class Body>
void each_judged(const Asked& asked, Body&& body) {
  size_t at = 0;
  for (size_t i = 0; i < asked.examples.size(); ++i) {
    const Example& example = asked.examples[i];
    body(i, judge(example, std::span(asked.scores).subspan(at, example.pairs.size())), at);
    at += example.pairs.size();
  }
}

std::vector<Figure> figures_of(const Asked& asked, ThreadTeam& team) {
  std::vector<double> acc, acc_norm, acc_bytes, logprobs;
  each_judged(asked, [&](size_t i, const Judgement& made, size_t at) {
    const size_t label = asked.examples[i].label;
    acc.push_back(made.choice == label);
    acc_norm.push_back(made.by_characters == label);
    acc_bytes.push_back(made.by_bytes == label);
    logprobs.push_back(asked.scores[at].logprob);
  });
  if (asked.task == Task::lambada) {
    return {{"perplexity", perplexity_of(logprobs, team), "exp(-mean log p(last word))"},
            {"acc", mean_of(acc), "the last word is the most likely text"}};
  }
  std::vector<Figure> figures = {{"acc", mean_of(acc), "log p of the right one is the highest"}};
  if (!has_length_norm(asked.task)) return figures;
  figures.push_back({"acc_norm", mean_of(acc_norm), "log p / characters of the choice is"});
  figures.push_back({"acc_bytes", mean_of(acc_bytes), "log p / bytes of the choice is"});
  return figures;
}

// The lines of --details.
std::string details_of(const Asked& asked, std::span<const uint64_t> lines) {
  std::string text;
  each_judged(asked, [&](size_t i, const Judgement& made, size_t at) {
    const Example& example = asked.examples[i];
    JsonObject object;
    object.whole("line", lines[i]);
    if (!example.choices.empty()) object.whole("label", example.label).whole("choice", made.choice);
    object.whole("acc", made.choice == example.label);
    if (has_length_norm(asked.task)) {
      object.whole("acc_norm", made.by_characters == example.label).whole("acc_bytes", made.by_bytes == example.label);
    }
    std::string requests;
    for (size_t k = 0; k < example.pairs.size(); ++k) {
      const Continuation& tokens = asked.continuations[at + k];
      const ContinuationScore& score = asked.scores[at + k];
      JsonObject request;
      request.string("context", asked.pairs[i][k].context)
          .string("continuation", asked.pairs[i][k].continuation)
          .whole("context_tokens", tokens.first)
          .whole("continuation_tokens", tokens.tokens.size() - tokens.first)
          .whole("cut_tokens", tokens.n_cut)
          .real("logprob", score.logprob)
          .raw("is_greedy", score.is_greedy ? "true" : "false");
      requests += (k == 0 ? "" : ",") + request.text();
    }
    text += object.raw("requests", "[" + requests + "]").text() + "\n";
  });
  return text;
}

void write_whole(OutputFile& file, std::string_view text) {
  file.resize(text.size());
  file.write(0, std::as_bytes(std::span(text)));
  file.commit();
}

// What is printed beside the figures.
struct Shown {
  std::string file, model, dtype, kernels;
  uint32_t shots = 0, threads = 1;
  uint64_t n_cut = 0, n_computed = 0;
  double seconds = 0;
};

std::string as_json(const Asked& asked, const std::vector<Figure>& figures, const Shown& shown) {
  JsonObject object;
  object.string("task", name_of(asked.task))
      .string("file", shown.file)
      .string("model", shown.model)
      .string("dtype", shown.dtype)
      .whole("shots", shown.shots)
      .whole("examples", asked.examples.size())
      .whole("requests", asked.continuations.size())
      .whole("cut_requests", shown.n_cut);
  for (const Figure& figure : figures) {
    object.real(figure.name, figure.estimate.value);
    const auto& error = figure.estimate.standard_error;
    object.raw(figure.name + "_stderr", error ? json_number(*error) : "null");
  }
  object.whole("computed_tokens", shown.n_computed)
      .string("kernels", shown.kernels)
      .whole("threads", shown.threads)
      .real("seconds", shown.seconds);
  return object.text() + "\n";
}

std::string as_text(const Asked& asked, const std::vector<Figure>& figures, const Shown& shown) {
  constexpr auto kLeft = Table::Align::left;
  Table table({kLeft, kLeft});
  table.row({"task", std::string(name_of(asked.task)) + ", " + printable(shown.file, 400) + ": " +
                         std::to_string(asked.examples.size()) + " examples, " +
                         std::to_string(asked.continuations.size()) + " continuations, " +
                         std::to_string(shown.shots) + " shots"});
  table.row({"model", printable(shown.model, 400) + " (" + shown.dtype + ")"});
  for (const Figure& figure : figures) {
    const auto& error = figure.estimate.standard_error;
    table.row({figure.name, significant(figure.estimate.value, 6) + " +- " + (error ? significant(*error, 3) : "?") +
                                "  " + figure.meaning});
  }
  if (shown.n_cut > 0) {
    table.row({"cut", std::to_string(shown.n_cut) +
                          " texts are longer than the model's context; their first tokens are left out"});
  }
  table.row({"time", human_time(shown.seconds) + ", " + human_count(static_cast<double>(shown.n_computed)) +
                         " tokens computed, " + shown.kernels + ", " + std::to_string(shown.threads) +
                         (shown.threads == 1 ? " thread" : " threads")});
  return table.text();
}

}  // namespace

std::vector<OptionGroup> EvalTasksCommand::options() {
  return {{"Tasks",
           {{"--limit", "", "Only the first N records.", whole_value(limit_, 1, 1u << 30)},
            {"--shots", "", "So many solved examples stand before each (default 0).",
             whole_value(shots_, 0, kMostShots)},
            {"--shots-from", "",
             "They are the first records of this FILE. Without it: the first of the task's own file, but for the one "
             "that is asked.",
             name_value("FILE", shots_from_)},
            {"--delimiter", "", "What stands between context and choice in choices (default: a space).",
             text_value("TEXT", delimiter_)},
            {"--details", "", "Write a JSON object for each example to FILE: what was asked, and what came of it.",
             name_value("FILE", details_)}}}};
}

bool EvalTasksCommand::wanted() const {
  return limit_ || shots_ || shots_from_ || delimiter_ || details_;
}

EvalTasksCommand::Records EvalTasksCommand::read(Task task, const std::string& file,
                                                 std::optional<uint32_t> limit) const {
  const std::string text = read_input_file(file, kMaxFile);
  const std::string name = file == "-" ? "stdin" : printable(file, 400);
  Records records;
  uint64_t line = 0;
  for (size_t begin = 0; begin < text.size() && records.examples.size() < limit.value_or(UINT32_MAX);) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view record = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (record.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = name + ":" + std::to_string(line) + ": ";
    Json json;
    if (const auto fault = read_json(record, json)) {
      fail(ExitCode::input, name + ":" + std::to_string(line) + ":" + std::to_string(fault->offset + 1) +
                                ": expected " + fault->expected + ", found " + printable(fault->found, 200));
    }
    records.examples.push_back(make_example(task, json, delimiter_.value_or(" "), place));
    records.places.push_back(place);
    records.lines.push_back(line);
  }
  if (records.examples.empty()) fail(ExitCode::input, name + ": expected a record a line, found none");
  return records;
}

// Returns what can stand before the examples, one text a solved example: of the own file one more than is wanted.
std::vector<std::string> EvalTasksCommand::shots_of(Task task, const Records& records) const {
  const size_t n = shots_.value_or(0), wanted = n + (shots_from_ ? 0 : 1);
  std::vector<std::string> shots;
  if (n == 0) return shots;
  Records others;
  if (shots_from_) others = read(task, *shots_from_, shots_);
  const std::vector<Example>& from = shots_from_ ? others.examples : records.examples;
  if (from.size() < wanted) {
    fail(ExitCode::input, (shots_from_ ? printable(*shots_from_, 400) : "--shots") + ": expected at least " +
                              std::to_string(wanted) + " records for " + std::to_string(n) + " shots, found " +
                              std::to_string(from.size()));
  }
  for (size_t i = 0; i < wanted; ++i) shots.push_back(from[i].shot);
  return shots;
}

void EvalTasksCommand::run(Task task, const std::string& file, const EvalSetting& setting) const {
  const std::string command = "eval " + std::string(name_of(task));
  if (delimiter_ && task != Task::choices)
    fail(ExitCode::usage, command + ": --delimiter: the task has its own; only choices takes one");
  if (shots_from_ && shots_.value_or(0) == 0)
    fail(ExitCode::usage, command + ": --shots-from: expected --shots N beside it, found none");
  InputFiles inputs;
  inputs.add(file, "FILE");
  if (shots_from_) inputs.add(*shots_from_, "--shots-from");
  add_inputs(setting.choice, "-m", inputs);
  std::unique_ptr<OutputFile> details;
  if (details_)
    details = std::make_unique<OutputFile>(*details_, setting.force ? Overwrite::replace : Overwrite::refuse, inputs);

  Asked asked;
  asked.task = task;
  Shown shown;
  const uint32_t n_shots = shots_.value_or(0);
  Records records = read(task, file, limit_ ? std::optional(std::max(*limit_, n_shots + 1)) : std::nullopt);
  const std::vector<std::string> shots = shots_of(task, records);
  if (limit_ && records.examples.size() > *limit_) records.examples.resize(*limit_);
  for (size_t i = 0; i < records.examples.size(); ++i) {
    std::string before;
    for (size_t k = 0, n = 0; n < n_shots; ++k) {
      if (!shots_from_ && k == i) continue;
      before += shots[k];
      ++n;
    }
    std::vector<TextPair> pairs;
    for (const TextPair& pair : records.examples[i].pairs) {
      pairs.push_back(joined(before, pair));
      asked.continuations.push_back(encode_pair(setting.model, pairs.back(), records.places[i]));
      asked.continuations.back().goes_together = pairs.size() > 1;
      shown.n_cut += asked.continuations.back().n_cut > 0;
    }
    if (details) asked.pairs.push_back(std::move(pairs));
  }
  asked.examples = std::move(records.examples);

  BatcherOptions options;
  options.engine = setting.engine;
  options.engine.prefix_cache = n_shots > 0;
  options.engine.max_slots = default_batch(setting.model, options);
  Batcher batcher(setting.model, options);
  catch_interrupts();
  {
    ProgressBar bar("continuations", setting.choice.verbosity, human_count);
    asked.scores = score_continuations(batcher, asked.continuations, [&](size_t done) {
      if (interrupt_flag()) throw Interrupted{};
      bar.update(done, asked.continuations.size());
    });
    shown.seconds = bar.seconds();
  }
  setting.model.check_unchanged();
  shown.file = file;
  shown.model = setting.model.name();
  shown.dtype = setting.dtype;
  shown.kernels = setting.engine.kernels->name;
  shown.shots = n_shots;
  shown.threads = batcher.engine().options().threads;
  shown.n_computed = batcher.stats().computed_rows;
  const std::vector<Figure> figures = figures_of(asked, batcher.engine().team());
  if (details) write_whole(*details, details_of(asked, records.lines));
  write_output(setting.json ? as_json(asked, figures, shown) : as_text(asked, figures, shown));
}

}  // namespace gpt2
