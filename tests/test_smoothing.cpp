// Smoothing: it changes no value of the model, and an outlier feature no longer costs the rest their resolution.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "src/io/checkpoint.h"
#include "src/convert/convert.h"
#include "src/convert/smoothing.h"
#include "tests/fixtures.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// Parameters of equal shape for all names, reproducible from their place.
class PatternSource final : public ParameterSource {
 public:
  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    for (uint64_t i = 0; i < count * spec.cols; ++i) out[i] = value(spec.name, first * spec.cols + i);
  }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    for (uint64_t i = 0; i < count; ++i) out[i] = value(name, first + i);
  }
  static float value(std::string_view name, uint64_t i) {
    const uint64_t bits = (i + 1) * 0x9E3779B97F4A7C15u ^ name.size() * 0xD1B54A32D192ED03u;
    const float random = static_cast<float>(static_cast<int64_t>(bits >> 40)) * 0x1p-24f - 0.5f;
    return name.find("ln_") != std::string_view::npos && i == 5 ? 64 * random : random;  // one large feature
  }
};

Config small_config() {
  Config config;
  config.n_layer = 2;
  config.n_head = config.n_kv_head = 2;
  config.n_embd = 64;
  config.d_head = 32;
  config.n_inner = 96;
  config.n_ctx = 16;
  config.n_vocab = 40;
  return config;
}

std::vector<float> logits_at(const CheckpointFixture& fixture, DType dtype, const std::vector<int32_t>& tokens) {
  MemorySink sink;
  ConvertOptions options;
  options.dtype = dtype;
  convert_checkpoint(fixture.write(), options, sink, nullptr);
  return logits_of(Model::from_memory(sink.take(), "fixture"), tokens, {runnable_kernels().tables[0]});
}

}  // namespace

TEST_CASE("smoothing: norm times column is what it was, bit for bit, and the large feature moved") {
  const Config config = small_config();
  PatternSource plain;
  WriteOptions options;
  options.dtype = DType::int8;
  options.keep = {{"h.1.*", DType::f32}};
  SmoothedSource smoothed(config, plain, options);
  bool moved = false;
  for (const TensorSpec& spec : model_schema(config)) {
    if (spec.arrangement == Arrangement::vector) continue;
    std::vector<float> before(spec.rows * spec.cols), after(before.size());
    plain.read_rows(spec, 0, spec.rows, before.data());
    smoothed.read_rows(spec, 0, spec.rows, after.data());
    const bool behind_norm = spec.name == "h.0.attn.c_attn.weight" || spec.name == "h.0.mlp.c_fc.weight";
    if (!behind_norm) {
      CHECK_MESSAGE(before == after, spec.name);
      continue;
    }
    const std::string norm = spec.name == "h.0.attn.c_attn.weight" ? "h.0.ln_1" : "h.0.ln_2";
    for (const char* part : {".weight", ".bias"}) {
      std::vector<float> old_norm(config.n_embd), new_norm(config.n_embd);
      plain.read_vector(norm + part, 0, config.n_embd, old_norm.data());
      smoothed.read_vector(norm + part, 0, config.n_embd, new_norm.data());
      for (size_t i = 0; i < before.size(); ++i) {
        REQUIRE(old_norm[i % config.n_embd] * before[i] == new_norm[i % config.n_embd] * after[i]);
      }
      moved = moved || std::abs(new_norm[5]) < std::abs(old_norm[5]);
    }
  }
  CHECK(moved);
}

TEST_CASE("smoothing: int8 logits of a model with one feature 100 times the rest stay within 1 % of the spread") {
  CheckpointFixture fixture = make_checkpoint({2, 2, 128, 256, 40, 3});
  const uint64_t n_embd = 128, outlier = 17;
  for (const char* name : {"wte.weight", "wpe.weight"}) {
    std::vector<float>& values = fixture.tensors[name];
    for (size_t i = outlier; i < values.size(); i += n_embd) values[i] *= 100;
  }
  const std::vector<int32_t> tokens = {0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 0, 2};
  const std::vector<float> expected = logits_at(fixture, DType::f32, tokens), got = logits_at(fixture, DType::int8, tokens);
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  const float spread = *high - *low;
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(double{expected[i]} - got[i]) / spread);
  MESSAGE("largest difference " << 100 * worst << " % of the spread");
  CHECK(worst <= 0.01);
}
