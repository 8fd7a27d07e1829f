#include "src/measure/benchmark.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/checked.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/statistics.h"
#include "src/model/model_writer.h"

namespace gpt2 {
namespace {

std::vector<double> percentages(const BenchResult& result) {
  std::vector<double> percent;
  for (size_t i = 0; i < result.seconds.size(); ++i) {
    percent.push_back(100.0 * result.least_seconds[i] / result.seconds[i]);
  }
  return percent;
}

// Weights with their padding, as they are multiplied.
double matrix_weights(const Panels& w) { return static_cast<double>(w.n_rows) * w.n_cols; }

// Each matrix of the model with how often its weights are used for `rows` rows of which `outputs` go through the head.
template <class Visit>
void for_each_matrix(const Weights& weights, double rows, double outputs, Visit&& visit) {
  for (const LayerWeights& h : weights.h) {
    for (const Panels* w : {&h.attn_c_attn, &h.attn_c_proj, &h.mlp_c_fc, &h.mlp_c_proj}) visit(*w, rows);
  }
  visit(weights.lm_head, outputs);
}

constexpr size_t kFma = 0, kBf16 = 1, kInt8 = 2, kInt4 = 3, kRead = 4;
constexpr size_t kPeaks = kRead;  // those before it are peaks of a type
constexpr const char* kLimitNames[] = {"fma", "bf16", "int8", "int4", "read"};
constexpr DType kLimitTypes[] = {DType::f32, DType::bf16, DType::int8, DType::int4};

// Whether the rows are those of a prompt, of which the last one goes through the head.
bool is_prompt(const BenchCase& bench) { return bench.test == BenchTest::prefill || bench.test == BenchTest::first; }

size_t limit_of(DType dtype) {
  if (dtype == DType::int8g32) return kInt8;
  return static_cast<size_t>(std::find(std::begin(kLimitTypes), std::end(kLimitTypes), dtype) -
                             std::begin(kLimitTypes));
}

}  // namespace

double BenchResult::tokens_per_second() const { return bench.n / median(seconds); }
double BenchResult::percent() const { return median(percentages(*this)); }
double BenchResult::percent_low() const {
  const auto percent = percentages(*this);
  return *std::min_element(percent.begin(), percent.end());
}
double BenchResult::percent_high() const {
  const auto percent = percentages(*this);
  return *std::max_element(percent.begin(), percent.end());
}
double BenchResult::limit_value() const { return median(limit_values); }

ModelBenchmark::ModelBenchmark(const Model& model, const KernelTable& kernels, const ThreadChoice& threads,
                               KvType kv_type, std::function<Model()> open)
    : model_(model),
      kernels_(kernels),
      threads_(threads),
      open_(std::move(open)),
      team_(threads.threads, threads.use),
      kv_(model.config(), kv_type),
      probe_(kernels, team_) {}

// What one sample does, by limit.
struct ModelBenchmark::Work {
  bool reads_cold = false;         // weights come from memory once a step: one row, few rows
  double operations[kPeaks] = {};  // of weights, where they bound
  double attention = 0;            // flops
  double all_operations = 0;       // whether they bound anything or not
  double weight_bytes = 0, kv_bytes = 0;
};

// A probe of each limit, operations or bytes per second.
struct ModelBenchmark::Limits {
  double value[kPeaks + 1] = {};

  // Seconds that each limit alone needs for its part.
  double seconds(const Work& work, size_t limit) const {
    if (limit == kRead) return work.reads_cold ? work.weight_bytes / value[kRead] : 0;
    return work.operations[limit] > 0 ? work.operations[limit] / value[limit] : 0;
  }
  double least(const Work& work) const {
    double compute = 0;
    for (size_t limit = 0; limit < kPeaks; ++limit) compute += seconds(work, limit);
    if (!work.reads_cold) return compute + work.attention / value[kFma];
    return std::max(seconds(work, kRead), compute) + work.kv_bytes / value[kRead];
  }
};

ModelBenchmark::Work ModelBenchmark::work_of(const BenchCase& bench) const {
  const Config& c = model_.config();
  const double n = bench.n, depth = bench.depth;
  const bool prefill = bench.test == BenchTest::prefill, rows = bench.test == BenchTest::rows;
  Work work;
  work.reads_cold = !prefill;
  for_each_matrix(model_.weights(), n, is_prompt(bench) ? 1 : n, [&](const Panels& w, double uses) {
    const double operations = 2 * matrix_weights(w) * uses;
    if (bench.test != BenchTest::decode) work.operations[limit_of(w.dtype)] += operations;
    work.all_operations += operations;
    work.weight_bytes += static_cast<double>(panels_bytes(w)) * (bench.test == BenchTest::decode ? n : 1);
  });
  // Positions that all tokens together see.
  const double seen = rows ? n * (depth + 1) : n * depth + n * (n + 1) / 2;
  work.attention = 4.0 * c.n_head * c.d_head * c.n_layer * seen;
  work.all_operations += work.attention;
  // A prefill's keys and values stay in cache while its rows use them.
  work.kv_bytes = 2.0 * c.n_kv_head * c.d_head * c.n_layer * static_cast<double>(item_bytes(kv_.type)) *
                  (prefill ? depth + n : seen);
  return work;
}

ModelBenchmark::Limits ModelBenchmark::probe(const Work& work) {
  Limits limits;
  if (work.reads_cold) limits.value[kRead] = probe_.read_bandwidth();
  for (size_t limit = 0; limit < kPeaks; ++limit) {
    if (work.operations[limit] > 0 || (limit == kFma && !work.reads_cold))
      limits.value[limit] = probe_.peak(kLimitTypes[limit]);
  }
  return limits;
}

// What the samples of a case work in: made once, as an engine makes it once.
struct ModelBenchmark::Stage {
  KvPool pool;
  std::vector<KvSequence> sequences;
  std::vector<KvSequence*> pointers;
  Workspace workspace;
  std::vector<Row> rows;

  Stage(const Config& c, const KvLayout& kv, const BenchCase& bench, uint32_t threads)
      : pool(kv, n_sequences(bench) * ((last(bench) + kBlockPositions - 1) / kBlockPositions)),
        workspace(c, bench.test == BenchTest::decode ? 1 : bench.n, bench.test == BenchTest::rows ? bench.n : 1,
                  threads) {
    GPT2_CHECK(last(bench) <= c.n_ctx);
    sequences.reserve(n_sequences(bench));
    for (size_t i = 0; i < n_sequences(bench); ++i) {
      sequences.emplace_back(pool, c.n_ctx);
      const bool extended = sequences.back().extend(last(bench));
      GPT2_CHECK(extended);
      pointers.push_back(&sequences.back());
      // Touched once: untouched pages would all be the system's one page of zeros, read from L1.
      for (unsigned char* block : sequences.back().blocks()) std::memset(block, 0, kv.block_bytes());
    }
    const bool together = bench.test == BenchTest::rows;
    for (uint32_t i = 0; i < bench.n; ++i) {
      const bool wanted = !is_prompt(bench) || i + 1 == bench.n;
      rows.push_back({together ? i : 0, together ? bench.depth : bench.depth + i,
                      static_cast<int32_t>((i * 7919u + 1) % c.n_vocab), wanted ? Wants::argmax : Wants::nothing});
    }
  }
  static size_t n_sequences(const BenchCase& bench) { return bench.test == BenchTest::rows ? bench.n : 1; }
  static uint32_t last(const BenchCase& bench) { return bench.depth + (bench.test == BenchTest::rows ? 1 : bench.n); }
};

double ModelBenchmark::time(const BenchCase& bench, Stage& stage) {
  const auto step = [&](std::span<const Row> rows) {
    forward(model_.config(), model_.weights(), {rows, stage.pointers}, stage.workspace, {kernels_, team_});
  };
  const double start = now_seconds();
  if (bench.test == BenchTest::decode) {
    for (const Row& row : stage.rows) step({&row, 1});
  } else {
    step(stage.rows);
  }
  return now_seconds() - start;
}

double ModelBenchmark::time_first(const BenchCase& bench) {
  const double start = now_seconds();
  std::optional<Model> opened;
  if (open_) opened.emplace(open_());
  const Model& model = opened ? *opened : model_;
  ThreadTeam team(threads_.threads, threads_.use);
  const KvLayout kv(model.config(), kv_.type);
  Stage stage(model.config(), kv, bench, team.size());
  forward(model.config(), model.weights(), {stage.rows, stage.pointers}, stage.workspace, {kernels_, team});
  return now_seconds() - start;
}

BenchResult ModelBenchmark::run(const BenchCase& bench, uint32_t samples) {
  GPT2_CHECK(samples > 0);
  BenchResult result;
  result.bench = bench;
  const Work work = work_of(bench);
  result.operations = work.all_operations;
  result.bytes = work.weight_bytes + work.kv_bytes;
  std::optional<Stage> stage;  // a first token makes its own
  if (bench.test != BenchTest::first) stage.emplace(model_.config(), kv_, bench, team_.size());
  const auto sample = [&] { return stage ? time(bench, *stage) : time_first(bench); };
  sample();
  std::vector<Limits> limits;
  for (uint32_t i = 0; i < samples; ++i) {
    const Limits before = probe(work);
    result.seconds.push_back(sample());
    Limits mean = probe(work);
    for (size_t k = 0; k <= kPeaks; ++k) mean.value[k] = 0.5 * (mean.value[k] + before.value[k]);
    result.least_seconds.push_back(mean.least(work));
    limits.push_back(mean);
  }
  size_t main = kRead;
  for (size_t limit = 0; limit < kPeaks; ++limit) {
    if (limits[0].seconds(work, limit) > limits[0].seconds(work, main)) main = limit;
  }
  result.limit = kLimitNames[main];
  for (const Limits& around : limits) result.limit_values.push_back(around.value[main]);
  return result;
}

namespace {

struct Shape {
  const char* name;
  uint32_t n_layer, n_head, n_embd;
  uint32_t n_kv_head = 0, n_inner = 0, n_vocab = 50257;  // of Llama's: GPT-2's where there are none
  bool tied = true;
};
constexpr Shape kShapes[] = {{"82M", 6, 12, 768},
                             {"124M", 12, 12, 768},
                             {"355M", 24, 16, 1024},
                             {"774M", 36, 20, 1280},
                             {"1558M", 48, 25, 1600},
                             {"SmolLM2-135M", 30, 9, 576, 3, 1536, 49152},
                             {"SmolLM2-360M", 32, 15, 960, 5, 2560, 49152},
                             {"Llama-3.2-1B", 16, 32, 2048, 8, 8192, 128256},
                             {"TinyLlama-1.1B", 22, 32, 2048, 4, 5632, 32000, false}};
constexpr uint32_t kGpt2Context = 1024, kLlamaContext = 8192;

Config config_of(const Shape& shape) {
  Config config;
  config.n_layer = shape.n_layer;
  config.n_head = config.n_kv_head = shape.n_head;
  config.n_embd = shape.n_embd;
  config.d_head = shape.n_embd / shape.n_head;
  config.n_inner = 4 * shape.n_embd;
  config.n_ctx = kGpt2Context;
  config.n_vocab = shape.n_vocab;
  config.tied_lm_head = shape.tied;
  if (shape.n_kv_head == 0) return config;
  config.architecture = "llama";
  config.n_kv_head = shape.n_kv_head;
  config.n_inner = shape.n_inner;
  config.n_ctx = kLlamaContext;
  config.norm = Norm::rms;
  config.positions = Positions::rotary;
  config.rotary_dims = config.d_head;
  config.mlp = Mlp::gated;
  config.activation = Activation::silu;
  return config;
}

// Uniform numbers of GPT-2's scale; norms around one.
class RandomSource final : public ParameterSource {
 public:
  void read_rows(const TensorSpec& spec, uint64_t /*first*/, uint64_t count, float* out) override {
    for (uint64_t i = 0; i < count * spec.cols; ++i) out[i] = next() * 0.04f;
  }
  void read_vector(std::string_view name, uint64_t /*first*/, uint64_t count, float* out) override {
    const float centre = name.find("ln_") != std::string_view::npos && name.ends_with("weight") ? 1.0f : 0.0f;
    for (uint64_t i = 0; i < count; ++i) out[i] = centre + next() * 0.04f;
  }

 private:
  float next() {  // xorshift64: -0.5 .. 0.5
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<float>(state_ >> 40) * 0x1p-24f - 0.5f;
  }
  uint64_t state_ = 0x9E3779B97F4A7C15u;
};

}  // namespace

Model random_model(const std::string& shape, DType dtype) {
  const Shape* found =
      std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.name == shape; });
  if (found == std::end(kShapes)) {
    std::string names;
    for (const Shape& s : kShapes) names += (names.empty() ? "" : ", ") + std::string(s.name);
    fail(ExitCode::usage, "--shape: expected one of " + names + ", found \"" + printable(shape) + "\"");
  }
  const Config config = config_of(*found);
  const std::vector<uint32_t> no_offsets(1, 0), no_bytes(256, kNoToken);
  const std::vector<MergeSlot> no_merges(1, MergeSlot{kNoToken, 0, 0, 0});
  TokenizerTables tokenizer;
  tokenizer.offsets = no_offsets;
  tokenizer.merges = no_merges;
  tokenizer.byte_tokens = no_bytes;
  RandomSource source;
  MemorySink sink;
  WriteOptions options;
  options.dtype = dtype;
  options.source = "random weights";
  write_model(config, tokenizer, source, options, sink, nullptr);
  return Model::from_memory(sink.take(), shape + " (random weights)");
}

}  // namespace gpt2
