#include "tools/bench_spec.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/io/json_object.h"
#include "tools/escapes.h"
#include "tools/format.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxText = uint64_t{64} << 20;  // bytes
constexpr uint32_t kShownRows[] = {2, 4, 8, 16};

// The options that mean nothing to a greedy choice.
bool is_for_sampling(const Option& option) {
  for (const std::string_view name : {"-T,--temperature", "--top-k", "--top-p", "--min-p", "--typical-p"}) {
    if (option.names == name) return true;
  }
  return false;
}

Figures figures_of(const SpeculationBenchResult& result, const SpeculationBenchCommand::Setting& setting, bool exact) {
  Figures all;
  const SpeculationStats& stats = result.stats;
  uint64_t tokens = 0;
  for (const PromptTiming& prompt : result.prompts) tokens += prompt.tokens;
  all.add("model", "model", json_quote(setting.model.name()), printable(setting.model.name(), 400));
  all.whole("threads", "threads", setting.engine.threads);
  all.whole("prompts", "prompts", result.prompts.size());
  all.whole("tokens", "tokens of a repetition", tokens);
  all.real("baseline_tokens_per_s", "baseline, tokens/s", result.baseline_rate(), 1);
  all.real("speculative_tokens_per_s", "speculation, tokens/s", result.speculative_rate(), 1);
  all.real("speedup_median", "speed-up, median of prompts", result.median_speedup(), 3);
  all.real("speedup_total", "speed-up, all tokens", result.total_speedup(), 3);
  all.real("mean_accepted", "accepted of a proposal", mean_accepted(stats), 2);
  std::string lengths, relative;
  for (const uint64_t n : stats.lengths) lengths += (lengths.empty() ? "" : ",") + std::to_string(n);
  all.add("steps_by_length", "steps by tokens proposed", "[" + lengths + "]", lengths);
  all.real("agreement", "agreement a", result.agreement, 3);
  all.real("draft_cost", "draft token / target step c", result.draft_cost, 4);
  all.real("plain_step_ms", "target step T(1), ms", 1e3 * result.plain_step, 3);
  for (const uint32_t rows : kShownRows) {
    const double cost = result.relative_step[rows];
    all.add("step_" + std::to_string(rows), "T(" + std::to_string(rows) + ") / T(1)",
            cost > 0 ? json_number(cost) : "null", cost > 0 ? fixed(cost, 3) : "not measured");
  }
  const SpeculationBenchResult::Allowed allowed = result.allowed();
  all.real("allowed_speedup", "allowed by a, c and T", allowed.speedup, 3);
  all.add("allowed_length", "with tokens drafted", std::to_string(allowed.k), std::to_string(allowed.k));
  all.real("percent_of_allowed", "reached of that, %", 100 * result.median_speedup() / allowed.speedup, 1);
  const bool predicted = result.measured_seconds > 0;
  all.add("cost_error_percent", "costs of half the prompts on the rest, error %",
      predicted ? json_number(100 * result.prediction_error()) : "null",
      predicted ? fixed(100 * result.prediction_error(), 1) : "not measured");
  all.real("baseline_drift_percent", "baseline slower there, %", 100 * result.baseline_drift(), 1);
  all.add("cost_error_without_drift_percent", "error without that, %",
      predicted ? json_number(100 * result.prediction_error_without_drift()) : "null",
      predicted ? fixed(100 * result.prediction_error_without_drift(), 1) : "not measured");
  const size_t different = result.n_different();
  all.add("texts_equal", "texts", exact ? (different == 0 ? "true" : "false") : "null",
      !exact           ? "not compared: rejection draws others"
      : different == 0 ? "equal"
                       : "DIFFERENT for " + std::to_string(different) + " prompts");
  return all;
}

std::string as_json(const Figures& figures, const SpeculationBenchResult& result) {
  JsonObject object = figures.as_json();
  std::string prompts;
  for (const PromptTiming& p : result.prompts) {
    prompts += (prompts.empty() ? "" : ",") + JsonObject()
                                                  .whole("tokens", p.tokens)
                                                  .real("baseline_ms", 1e3 * p.baseline)
                                                  .real("speculative_ms", 1e3 * p.speculative)
                                                  .text();
  }
  return object.raw("speculation", speculation_json(result.stats)).raw("by_prompt", "[" + prompts + "]").text() + "\n";
}

}  // namespace

std::vector<OptionGroup> SpeculationBenchCommand::options() {
  std::vector<Option> sampling = sampling_.options();
  for (Option& option : sampling) {
    if (!is_for_sampling(option)) continue;
    option.value.set = [this, set = std::move(option.value.set)](std::string_view text) {
      samples_ = true;
      return set(text);
    };
  }
  return {
      {"bench spec: prompts",
       {{"-f,--file", "", "A prompt a line (-: stdin); with --prompts a text that prompts are cut from.",
         name_value("FILE", file_)},
        {"-e,--escape", "", "In a line, \\n, \\t, \\\\ and \\xNN stand for the bytes they name.", flag_value(escape_)},
        {"--prompts", "", "Cut N prompts from the text, evenly spread.", whole_value(n_prompts_, 1, 1u << 20)},
        {"--prompt-tokens", "", "Tokens of a prompt that is cut (default 64).",
         whole_value(prompt_tokens_, 1, 1u << 20)},
        {"-n,--max-new-tokens", "", "Tokens generated for each (default 64).",
         whole_value(max_new_tokens_, 2, 1u << 20)},
        {"-s,--seed", "", "Seed of the sampler (default 1).", seed_value(seed_)}}},
      {"bench spec: speculation", speculation_.options()},
      {"bench spec: sampling (default: --greedy)", std::move(sampling)}};
}

std::vector<std::vector<int32_t>> SpeculationBenchCommand::read_prompts(const Model& model) const {
  if (!file_) fail(ExitCode::usage, "bench spec: expected prompts with -f FILE, found none");
  const std::string text = read_input_file(*file_, kMaxText), name = printable(*file_, 400);
  const uint32_t n_ctx = model.config().n_ctx;
  std::vector<std::vector<int32_t>> prompts;
  const auto add = [&](std::vector<int32_t> prompt) {
    if (prompt.size() > n_ctx) {
      fail(ExitCode::input, name + ": prompt " + std::to_string(prompts.size() + 1) + ": expected at most " +
                                std::to_string(n_ctx) + " tokens, found " + std::to_string(prompt.size()));
    }
    prompts.push_back(std::move(prompt));
  };
  if (n_prompts_) {
    const std::vector<int32_t> all = model.tokenizer().encode(text);
    if (all.size() < prompt_tokens_) {
      fail(ExitCode::input, name + ": text: expected at least " + std::to_string(prompt_tokens_) + " tokens, found " +
                                std::to_string(all.size()));
    }
    for (uint64_t i = 0; i < *n_prompts_; ++i) {
      const auto begin = all.begin() + static_cast<ptrdiff_t>((all.size() - prompt_tokens_) * i / *n_prompts_);
      add({begin, begin + prompt_tokens_});
    }
    return prompts;
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (!line.empty()) add(model.tokenizer().encode(escape_ ? unescape(line, "bench spec: --escape") : line));
    begin = end + 1;
  }
  if (prompts.empty()) fail(ExitCode::input, name + ": expected a prompt a line, found none");
  return prompts;
}

int SpeculationBenchCommand::run(const Setting& setting) const {
  if (!wanted()) fail(ExitCode::usage, "bench spec: expected --draft-model or --draft-lookup, found no draft");
  const std::optional<Model> draft = speculation_.load_draft(setting.model, setting.verbosity);
  SpeculationBenchOptions options;
  options.engine = setting.engine;
  options.speculation = speculation_.resolve(draft ? &*draft : nullptr);
  options.request.sampling = sampling_.resolve(setting.model.config());
  if (!samples_) options.request.sampling.greedy = true;
  options.request.seed = seed_.value_or(1);
  options.request.max_new_tokens = max_new_tokens_;
  options.repetitions = setting.repetitions;
  const std::vector<std::vector<int32_t>> prompts = read_prompts(setting.model);
  SpeculationBenchmark benchmark(setting.model, options);
  SpeculationBenchResult result;
  {
    catch_interrupts();
    ProgressBar bar("bench spec", setting.verbosity, human_count);
    result = benchmark.run(prompts, [&](size_t done) {
      if (interrupt_flag()) throw Interrupted{};
      bar.update(done, prompts.size());
    });
  }
  const bool exact = options.speculation.verification == Verification::coupled;
  const Figures shown = figures_of(result, setting, exact);
  write_output(setting.format == BenchFormat::json  ? as_json(shown, result)
               : setting.format == BenchFormat::csv ? shown.as_csv()
                                                    : shown.as_table());
  if (!exact || result.n_different() == 0) return static_cast<int>(ExitCode::ok);
  fail(ExitCode::internal, "bench spec: expected the same text with and without speculation, found " +
                               std::to_string(result.n_different()) + " prompts where it differs");
}

}  // namespace gpt2
