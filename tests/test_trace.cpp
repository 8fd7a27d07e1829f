// trace: the bits of the fast pass for every architecture and type, each value handed on once, and what the tensors
// say of each other.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "src/measure/trace.h"
#include "tests/family.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::vector<int32_t> tokens_of(size_t n, uint32_t n_vocab) {
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = static_cast<int32_t>((i * i * 7 + i + 1) % n_vocab);
  return tokens;
}

struct Traced {
  std::vector<TraceTensor> tensors;
  std::map<std::string, std::vector<float>> values;
  std::vector<uint64_t> hashes;
};

// Checks that values come in order and once.
Traced traced(const Model& model, std::span<const int32_t> tokens, const TraceOptions& options) {
  Traced result;
  result.tensors = trace_tensors(model.config(), tokens.size());
  std::vector<std::vector<float>> all(result.tensors.size());
  bool in_order = true;
  size_t last = 0;
  result.hashes = trace(model, tokens, options, [&](size_t tensor, uint64_t first, std::span<const float> values) {
    in_order = in_order && tensor < all.size() && all[tensor].size() == first && (tensor >= last || tensor + 2 >= last);
    last = tensor;
    all[tensor].insert(all[tensor].end(), values.begin(), values.end());
  });
  CHECK(in_order);
  for (size_t i = 0; i < all.size(); ++i) {
    size_t n = 1;
    for (const uint64_t dimension : result.tensors[i].shape) n *= dimension;
    CHECK_MESSAGE(all[i].size() == n, result.tensors[i].name);
    result.values[result.tensors[i].name] = std::move(all[i]);
  }
  return result;
}

// softmax(scale q k^T) v of one head, from the tensors alone.
void check_head(const Config& c, const Traced& t, uint32_t layer, size_t head, size_t n) {
  const std::string name = "h." + std::to_string(layer) + ".attn.";
  const auto &q = t.values.at(name + "q"), &k = t.values.at(name + "k"), &v = t.values.at(name + "v"),
             &p = t.values.at(name + "probabilities"), &heads = t.values.at(name + "heads");
  const size_t d_head = c.d_head, group = head / c.n_rep();
  const size_t window = c.window(layer);
  bool good = true;
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> scores(n, 0);
    double sum = 0;
    for (size_t j = 0; j <= i; ++j) {
      if (window > 0 && j + window <= i) continue;
      double score = 0;
      for (size_t d = 0; d < d_head; ++d)
        score += static_cast<double>(q[(i * c.n_head + head) * d_head + d]) * k[(j * c.n_kv_head + group) * d_head + d];
      sum += scores[j] = std::exp(score * c.attention_scale(layer));
    }
    std::vector<double> out(d_head, 0);
    for (size_t j = 0; j < n; ++j) {
      const double probability = p[(head * n + i) * n + j];
      good = good && std::abs(probability - scores[j] / sum) <= 1e-5;
      for (size_t d = 0; d < d_head; ++d) out[d] += probability * v[(j * c.n_kv_head + group) * d_head + d];
    }
    for (size_t d = 0; d < d_head; ++d)
      good = good && std::abs(out[d] - heads[(i * c.n_head + head) * d_head + d]) <= 1e-4;
  }
  CHECK_MESSAGE(good, c.architecture << ", layer " << layer << ", head " << head);
}

void check_bits(const Model& model, size_t n, KvType kv_type, std::string_view what) {
  const std::vector<int32_t> tokens = tokens_of(n, model.config().n_vocab);
  const bool bf16 = has_matrix_of(model, DType::bf16);
  std::vector<uint64_t> hashes;
  const KernelList list = runnable_kernels();
  for (size_t tier = 0; tier < list.count; ++tier) {
    TraceOptions options;
    options.products = bf16 ? list.tables[tier] : find_kernels("scalar");
    options.kv_type = kv_type;
    if (bf16 || hashes.empty()) hashes = trace(model, tokens, options, [](size_t, uint64_t, std::span<const float>) {});
    EngineOptions engine_options;
    engine_options.kernels = list.tables[tier];
    engine_options.kv_type = kv_type;
    engine_options.prefill_chunk = 32;
    engine_options.threads = 1 + tier % 2;
    Engine engine(model, engine_options);
    CHECK_MESSAGE(!first_other_row(engine, tokens, hashes), what << " on " << list.tables[tier]->name);
  }
}

}  // namespace

TEST_CASE("trace: its logits are the fast pass's bits, for every architecture, type, tier and cache") {
  for (const DType dtype : kAllDTypes) {
    for (const FamilyCase& one : family_cases()) {
      check_bits(make_family_model(one.config, dtype), 71, dtype == DType::f32 ? KvType::f32 : KvType::f16,
                 one.name + ", " + std::string(dtype_name(dtype)));
    }
  }
  check_bits(books(), 9, KvType::f32, "books");
}

TEST_CASE("trace: the tensors say what attention is") {
  for (const FamilyCase& one : family_cases()) {
    const Model model = make_family_model(one.config);
    TraceOptions options;
    options.products = find_kernels("scalar");
    constexpr size_t kTokens = 68;
    const Traced t = traced(model, tokens_of(kTokens, one.config.n_vocab), options);
    for (uint32_t layer = 0; layer < one.config.n_layer; ++layer) {
      for (size_t head = 0; head < one.config.n_head; ++head) check_head(one.config, t, layer, head, kTokens);
      const std::string name = "h." + std::to_string(layer) + ".";
      const auto& before = layer == 0 ? t.values.at("embedding")
                                      : t.values.at("h." + std::to_string(layer - 1) + ".residual");
      const auto &out = t.values.at(name + "attn.out"), &sum = t.values.at(name + "attn.residual"),
                 &mlp = t.values.at(name + "mlp.out"), &after = t.values.at(name + "residual");
      bool good = true;
      for (size_t i = 0; i < out.size(); ++i)
        good = good && sum[i] == before[i] + out[i] && after[i] == sum[i] + mlp[i];
      CHECK_MESSAGE(good, one.name);
      CHECK(t.values.contains(name + "ln_2") == (one.config.residual != Residual::parallel_one_norm));
    }
  }
}

TEST_CASE("trace: a row that differs is found") {
  const std::vector<int32_t> tokens = tokens_of(5, 4096);
  TraceOptions options;
  options.products = find_kernels("scalar");
  std::vector<uint64_t> hashes = trace(books(), tokens, options, [](size_t, uint64_t, std::span<const float>) {});
  hashes[3] ^= 1;
  EngineOptions engine_options;
  engine_options.kernels = runnable_kernels().tables[0];
  Engine engine(books(), engine_options);
  CHECK(first_other_row(engine, tokens, hashes) == std::optional<size_t>(3));
}
