#include "src/engine/benchmark.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/model/model_writer.h"

namespace gpt2 {
namespace {

double median(std::vector<double> values) {
  GPT2_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

std::vector<double> percentages(const BenchResult& result) {
  std::vector<double> percent;
  for (size_t i = 0; i < result.seconds.size(); ++i) {
    percent.push_back(100.0 * result.work / result.limit_values[i] / result.seconds[i]);
  }
  return percent;
}

double matrix_weights(const Panels& w) { return static_cast<double>(w.n_rows) * w.n_cols; }

double block_weights(const Weights& weights) {
  double n = 0;
  for (const LayerWeights& h : weights.h) {
    n += matrix_weights(h.attn_c_attn) + matrix_weights(h.attn_c_proj) + matrix_weights(h.mlp_c_fc) + matrix_weights(h.mlp_c_proj);
  }
  return n;
}

double weight_bytes(const Weights& weights) {
  size_t n = panels_bytes(weights.lm_head);
  for (const LayerWeights& h : weights.h) {
    n += panels_bytes(h.attn_c_attn) + panels_bytes(h.attn_c_proj) + panels_bytes(h.mlp_c_fc) + panels_bytes(h.mlp_c_proj);
  }
  return static_cast<double>(n);
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

ModelBenchmark::ModelBenchmark(const Model& model, const KernelTable& kernels, uint32_t threads, KvType kv_type)
    : model_(model), kernels_(kernels), team_(threads), kv_(model.config(), kv_type), probe_(kernels, team_) {}

double ModelBenchmark::work_of(const BenchCase& bench) const {
  const Config& c = model_.config();
  const Weights& w = model_.weights();
  const double n = bench.n, depth = bench.depth;
  if (bench.test == BenchTest::prefill) {
    const double seen = n * depth + n * (n + 1) / 2;  // positions seen by all tokens together
    const double attention = 4.0 * c.n_embd * c.n_layer * seen;
    return 2 * block_weights(w) * n + 2 * matrix_weights(w.lm_head) + attention;
  }
  const double kv_position = 2.0 * c.n_embd * c.n_layer * static_cast<double>(item_bytes(kv_.type));
  if (bench.test == BenchTest::rows) return weight_bytes(w) + n * (depth + 1) * kv_position;
  return n * weight_bytes(w) + (n * depth + n * (n + 1) / 2) * kv_position;
}

void ModelBenchmark::step(std::span<const Row> rows, std::span<KvSequence* const> sequences, Workspace& workspace) {
  forward(model_.config(), model_.weights(), rows, sequences, kv_, workspace, kernels_, team_);
}

double ModelBenchmark::time(const BenchCase& bench) {
  const Config& c = model_.config();
  const bool rows = bench.test == BenchTest::rows;
  const uint32_t n_sequences = rows ? bench.n : 1, last = rows ? bench.depth + 1 : bench.depth + bench.n;
  GPT2_CHECK(last <= c.n_ctx);
  KvPool pool(kv_, size_t{n_sequences} * ((last + kBlockPositions - 1) / kBlockPositions));
  std::vector<KvSequence> sequences;
  std::vector<KvSequence*> pointers;
  sequences.reserve(n_sequences);
  for (uint32_t i = 0; i < n_sequences; ++i) {
    sequences.emplace_back(pool, c.n_ctx);
    const bool extended = sequences.back().extend(last);
    GPT2_CHECK(extended);
    pointers.push_back(&sequences.back());
  }
  // Touched once: untouched pages would all be the system's one page of zeros, read from L1.
  for (KvSequence* sequence : pointers) {
    for (unsigned char* block : sequence->blocks()) std::memset(block, 0, kv_.block_bytes());
  }
  Workspace workspace(c, bench.test == BenchTest::decode ? 1 : bench.n, rows ? bench.n : 1, team_.size());
  std::vector<Row> batch;
  const auto token = [&](uint32_t i) { return static_cast<int32_t>((i * 7919u + 1) % c.n_vocab); };
  for (uint32_t i = 0; i < bench.n; ++i) {
    const bool last_row = bench.test != BenchTest::prefill || i + 1 == bench.n;
    batch.push_back({rows ? i : 0, rows ? bench.depth : bench.depth + i, token(i), last_row ? Wants::argmax : Wants::nothing});
  }
  const double start = now_seconds();
  if (bench.test == BenchTest::decode) {
    for (const Row& row : batch) step({&row, 1}, pointers, workspace);
  } else {
    step(batch, pointers, workspace);
  }
  return now_seconds() - start;
}

BenchResult ModelBenchmark::run(const BenchCase& bench, uint32_t samples) {
  BenchResult result;
  result.bench = bench;
  result.work = work_of(bench);
  const bool compute = bench.test == BenchTest::prefill;
  result.limit = compute ? "fma" : "read";
  const auto probe = [&] { return compute ? probe_.fma_peak() : probe_.read_bandwidth(); };
  time(bench);
  for (uint32_t i = 0; i < samples; ++i) {
    const double before = probe();
    result.seconds.push_back(time(bench));
    result.limit_values.push_back(0.5 * (before + probe()));
  }
  return result;
}

namespace {

struct Shape {
  const char* name;
  uint32_t n_layer, n_head, n_embd;
};
constexpr Shape kShapes[] = {{"82M", 6, 12, 768}, {"124M", 12, 12, 768}, {"355M", 24, 16, 1024}, {"774M", 36, 20, 1280},
                             {"1558M", 48, 25, 1600}};
constexpr uint32_t kGpt2Context = 1024, kGpt2Vocab = 50257;

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
  const Shape* found = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.name == shape; });
  if (found == std::end(kShapes)) {
    fail(ExitCode::usage, "--shape: expected 82M, 124M, 355M, 774M or 1558M, found \"" + printable(shape) + "\"");
  }
  Config config;
  config.n_layer = found->n_layer;
  config.n_head = found->n_head;
  config.n_embd = found->n_embd;
  config.d_head = config.n_embd / config.n_head;
  config.n_inner = 4 * config.n_embd;
  config.n_ctx = kGpt2Context;
  config.n_vocab = kGpt2Vocab;
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
