// gpt2 bench: a model's speed beside the machine's own limits, measured in the same run.
#include <functional>
#include <utility>

#include "src/base/error.h"
#include "src/base/statistics.h"
#include "src/measure/benchmark.h"
#include "src/measure/probe.h"
#include "tools/bench_batch.h"
#include "tools/bench_report.h"
#include "tools/bench_spec.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/format.h"
#include "tools/load_model.h"
#include "tools/progress.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr double kBusy = 0.1;  // share of the CPUs in other hands that is worth a warning

// "512,1024": whole numbers from `min`.
OptionValue list_value(std::vector<uint32_t>& out, uint32_t min) {
  return {"N,...", "whole numbers from " + std::to_string(min) + ", with commas between them",
          [&out, min](std::string_view text) {
            out.clear();
            for (const std::string& word : split_names(text)) {
              uint32_t number = 0;
              if (!whole_value(number, min, 1u << 20).set(word)) return false;
              out.push_back(number);
            }
            return !out.empty();
          }};
}

class Bench final : public Command {
 public:
  CommandText text() const override {
    return {
        "bench", "[spec|batch]", "Times a model against the machine's limits.",
        "Each sample stands between two probes of the limit that bounds it, so that a percentage compares what the "
        "machine gave with what it could give at that moment; the rows are medians over the samples.\n"
        "A percentage is the least time that the limits allow / the time taken. prefill: operations of the weights (2 "
        "each for every token, the head for the last one only) / peak of their type + flops of causal attention / f32 "
        "peak. decode: one token after another, from a depth on; (weight bytes + cache bytes) / read bandwidth. rows: "
        "one step of N sequences; the larger of weight bytes / read bandwidth and operations / peak, + cache bytes / "
        "read bandwidth.\n"
        "first: a prompt's first token from the opening of the model on (--shape: from the making of threads and "
        "memory on); the limit is as for rows, with the head for the last one only.\n"
        "The probes read 512 MiB in four streams a thread, and keep twelve chains of the multiply-adds that the "
        "kernels use (fma; bf16, int8 and int4 as this CPU multiplies them) in registers; --peak prints them.\n"
        "bench spec times generation with a draft against the same without, in turns, on the prompts of a file: "
        "medians of -r repetitions, of the time after the prompt. Drafts of 1 to --draft-max tokens in turn measure "
        "how often a proposed token is accepted (a), what a drafted token costs (c, in target steps) and what the "
        "target's step of k rows costs (T(k)). They allow a speed-up of (1 - a^(k+1)) / ((1 - a) (k c + T(k+1) / "
        "T(1))) at the best k. The texts are compared: a difference is an error (exit 1).\n"
        "bench batch times prompts of different lengths in one continuous batch and, in turns, in fixed batches that "
        "are refilled when all of their sequences have ended; and a long prompt that is computed beside running "
        "sequences.",
        "gpt2 bench --shape 124M\n"
        "gpt2 bench -m model.gpt2 --prefill 512 --decode 64 --depth 0,512\n"
        "gpt2 bench -m model.gpt2 --first 8,64 --prefill 0 --decode 0\n"
        "gpt2 bench --shape 355M --json > speed.json\n"
        "gpt2 bench --shape 355M --compare speed.json\n"
        "gpt2 bench --peak\n"
        "gpt2 bench spec -m model.gpt2 --draft-model draft.gpt2 -f prompts.txt\n"
        "gpt2 bench batch --shape 124M --dtype int8 --batch 16"};
  }

  std::vector<OptionGroup> options() override {
    std::vector<Option> model = model_options(model_);
    model.push_back({"--shape", "",
                     "Random weights of a model's shape, made in memory: 82M, 124M, 355M, 774M or 1558M of GPT-2; "
                     "SmolLM2-135M, SmolLM2-360M, Llama-3.2-1B or TinyLlama-1.1B.",
                     name_value("SHAPE", shape_)});
    model.push_back(
        {"--dtype", "", "Type of the random weights.",
         choice_value(dtype_, {{"f32", DType::f32},
                               {"bf16", DType::bf16},
                               {"int8", DType::int8},
                               {"int8g32", DType::int8g32},
                               {"int4", DType::int4}})});
    model.push_back({"--kv-dtype", "", "Type of the cache (default: f32 for f32 weights, f16 otherwise).",
                     choice_value(kv_type_, {{"f32", KvType::f32}, {"f16", KvType::f16}})});
    model.push_back({"-t,--threads", "", kThreadsHelp,
                     whole_value(threads_, 1, ThreadTeam::kMaxThreads)});
    std::vector<OptionGroup> groups = {
        {"What is timed",
         {{"--first", "",
           "Tokens of prompts whose first token is waited for, from the opening of the model on (default 0: none).",
           list_value(first_, 0)},
          {"--prefill", "", "Tokens of the prompts (default 512; 0: none).", list_value(prefill_, 0)},
          {"--decode", "", "Tokens generated one by one (default 32; 0: none).", list_value(decode_, 0)},
          {"--rows", "", "Sequences of one step (default: none).", list_value(rows_, 0)},
          {"--depth", "", "Positions before the first token of decode and rows (default 0).", list_value(depth_, 0)},
          {"-r,--repetitions", "", "Samples of each row (default 5).", whole_value(repetitions_, 1, 1000)}}},
        {"Output",
         {{"--peak", "", "Print what this CPU multiplies each type with and how fast that is, and time nothing else.",
           flag_value(peak_, true)},
          {"--compare", "",
           "An earlier run's --json (-: stdin); ratios to it stand in further columns: of tokens/s, and of the "
           "percentages with their spread, which hold across the machine's moods.",
           name_value("FILE", compare_)},
          {"--csv", "", "Comma-separated values.", flag_value(format_, BenchFormat::csv)},
          {"--json", "", "A JSON array of objects.", flag_value(format_, BenchFormat::json)}}},
        {"Model", std::move(model)}};
    for (OptionGroup& group : spec_.options()) groups.push_back(std::move(group));
    for (OptionGroup& group : batch_.options()) groups.push_back(std::move(group));
    return groups;
  }

  int run(const std::vector<std::string>& operands) override {
    const std::string what = operands.empty() ? "" : operands[0];
    const bool spec = what == "spec", batch = what == "batch";
    const size_t known = spec || batch ? 1 : 0;
    if (operands.size() > known) {
      fail(ExitCode::usage, "bench: expected options, spec or batch, found \"" + printable(operands[known]) + "\"");
    }
    if (!spec && spec_.wanted())
      fail(ExitCode::usage, "bench: expected spec before the options of a draft, found none");
    if (peak_) return print_peaks(choose_kernels());
    if (shape_ && model_.path) fail(ExitCode::usage, "bench: give --shape or --model, not both");
    if (compare_ && (spec || batch)) fail(ExitCode::usage, "--compare: not with bench " + what);
    std::optional<EarlierBench> earlier;  // read first: it may be wrong
    if (compare_) earlier.emplace(*compare_);
    const KernelTable& kernels = choose_kernels();
    if (!spec) warn_if_busy();  // turns even out what others take
    const Model model = shape_ ? random_model(*shape_, dtype_) : load_model(model_);
    const DType dtype = model.weights().h[0].mlp_c_fc.dtype;  // an int4 file keeps its head in int8
    const KvType kv_type = kv_type_ ? *kv_type_ : default_kv_type(model.weights());
    const ThreadChoice threads = chosen_threads(threads_);
    EngineOptions engine;
    engine.kernels = &kernels;
    engine.threads = threads.threads;
    engine.team_use = threads.use;
    engine.kv_type = kv_type;
    if (spec) return spec_.run({model, engine, repetitions_, format_, model_.verbosity});
    if (batch) {
      const std::string name = shape_ ? *shape_ + " " + std::string(dtype_name(dtype)) : model.name();
      batch_.run({model, name, engine, repetitions_, format_, model_.verbosity});
      return static_cast<int>(ExitCode::ok);
    }
    const std::vector<BenchCase> cases = plan(model.config());
    std::function<Model()> open;
    if (!shape_) open = [this] { return load_model(model_); };
    ModelBenchmark benchmark(model, kernels, threads, kv_type, std::move(open));
    std::vector<BenchResult> results;
    ProgressBar bar("bench", model_.verbosity, human_count);
    for (const BenchCase& bench : cases) {
      results.push_back(benchmark.run(bench, repetitions_));
      bar.update(results.size(), cases.size());
    }
    const BenchSetting setting = {shape_ ? *shape_ : model.name(), std::string(dtype_name(dtype)),
                                  kv_type == KvType::f32 ? "f32" : "f16", kernels.name, benchmark.threads()};
    write_output(bench_report(results, setting, format_, earlier ? &*earlier : nullptr));
    return static_cast<int>(ExitCode::ok);
  }

 private:
  // The tier's instruction sequences in registers, and its reads; medians.
  int print_peaks(const KernelTable& kernels) const {
    ThreadTeam team(threads_ ? *threads_ : choose_threads().threads);
    MachineProbe probe(kernels, team);
    const auto rate = [&](auto&& measure) {
      std::vector<double> rates;
      for (uint32_t i = 0; i < repetitions_; ++i) rates.push_back(measure());
      return fixed(median(rates) / 1e9, 1);
    };
    Table table({Table::Align::left, Table::Align::left, Table::Align::right, Table::Align::left});
    for (const DType dtype : {DType::f32, DType::bf16, DType::int8, DType::int4}) {
      table.row({std::string(dtype_name(dtype)), kernels.probe_text(dtype), rate([&] { return probe.peak(dtype); }),
                 "Gop/s"});
    }
    table.row({"read", "four streams a thread", rate([&] { return probe.read_bandwidth(); }), "GB/s"});
    write_output(std::string(kernels.name) + ", " + std::to_string(team.size()) +
                 (team.size() == 1 ? " thread\n" : " threads\n") + table.text());
    return static_cast<int>(ExitCode::ok);
  }

  void warn_if_busy() const {
    const double busy = busy_fraction(0.1);
    if (busy > kBusy) {
      say("warning: other processes use " + fixed(100 * busy, 0) + " % of the CPUs; the figures will be low and noisy");
    }
  }

  // The rows that fit the model's context.
  std::vector<BenchCase> plan(const Config& config) const {
    std::vector<BenchCase> cases;
    const auto add = [&](BenchTest test, uint32_t n, uint32_t depth) {
      if (n == 0) return;
      const uint64_t positions = uint64_t{depth} + (test == BenchTest::rows ? 1 : n);
      if (positions > config.n_ctx) {
        say("note: " + std::string(test_name(test)) + " of " + std::to_string(n) + " at depth " +
            std::to_string(depth) + " left out: the model has " + std::to_string(config.n_ctx) + " positions");
      } else {
        cases.push_back({test, n, depth});
      }
    };
    for (const uint32_t n : first_) add(BenchTest::first, n, 0);
    for (const uint32_t n : prefill_) add(BenchTest::prefill, n, 0);
    for (const uint32_t depth : depth_) {
      for (const uint32_t n : decode_) add(BenchTest::decode, n, depth);
      for (const uint32_t n : rows_) add(BenchTest::rows, n, depth);
    }
    if (cases.empty()) fail(ExitCode::usage, "bench: nothing to time");
    return cases;
  }

  bool peak_ = false;
  SpeculationBenchCommand spec_;
  BatchBenchCommand batch_;
  ModelChoice model_;
  std::optional<std::string> shape_;
  DType dtype_ = DType::f32;
  std::optional<KvType> kv_type_;
  std::optional<uint32_t> threads_;
  std::vector<uint32_t> first_ = {0}, prefill_ = {512}, decode_ = {32}, rows_ = {0}, depth_ = {0};
  std::optional<std::string> compare_;
  uint32_t repetitions_ = 5;
  BenchFormat format_ = BenchFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_bench() { return std::make_unique<Bench>(); }

}  // namespace gpt2
