#include "tests/family.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/base/aligned_buffer.h"
#include "src/base/hash.h"
#include "src/convert/convert.h"
#include "src/model/model_writer.h"

namespace gpt2::test {

// About normal, as large as its kind usually is.
float family_element(std::string_view name, uint64_t index) {
  uint64_t x = xxh3(std::as_bytes(std::span(name.data(), name.size()))) + index * 0x9E3779B97F4A7C15u;
  float sum = -2;
  for (int i = 0; i < 4; ++i) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    sum += static_cast<float>((x ^ (x >> 31)) >> 40) * 0x1p-24f;
  }
  if (name.find("ln_") != std::string_view::npos && name.ends_with("weight")) return 1 + 0.1f * sum;
  if (name.ends_with("bias")) return 0.3f * sum;
  return (name == "wte.weight" ? 0.8f : 0.4f) * sum;
}

namespace {

float element(std::string_view name, uint64_t index) { return family_element(name, index); }

float frequency(const Config& c, uint64_t pair) {
  if (2 * pair >= c.rotary_dims) return 0;
  return static_cast<float>(std::pow(100.0, -2.0 * static_cast<double>(pair) / c.rotary_dims));
}

class NamedSource final : public ParameterSource {
 public:
  explicit NamedSource(const Config& config) : config_(config) {}
  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    for (uint64_t i = 0; i < count * spec.cols; ++i) out[i] = element(spec.name, first * spec.cols + i);
  }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    const bool turns = name == kFrequencies;
    for (uint64_t i = 0; i < count; ++i) out[i] = turns ? frequency(config_, first + i) : element(name, first + i);
  }

 private:
  const Config& config_;
};

using Row = std::vector<double>;

// w x + b for a matrix of n_out rows.
Row linear(const std::string& name, const std::string& bias, size_t n_out, const Row& x) {
  Row y(n_out);
  for (size_t i = 0; i < n_out; ++i) {
    y[i] = bias.empty() ? 0.0 : double{element(bias, i)};
    for (size_t k = 0; k < x.size(); ++k) y[i] += double{element(name, i * x.size() + k)} * x[k];
  }
  return y;
}

Row norm(const Config& c, const std::string& name, const Row& x) {
  const auto n = static_cast<double>(x.size());
  double mean = 0, square = 0;
  for (const double v : x) mean += c.norm == Norm::layer ? v / n : 0.0;
  for (const double v : x) square += (v - mean) * (v - mean) / n;
  Row y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = (x[i] - mean) / std::sqrt(square + double{c.layer_norm_epsilon}) * double{element(name + ".weight", i)};
    if (c.norm == Norm::layer) y[i] += double{element(name + ".bias", i)};
  }
  return y;
}

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::gelu_erf: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::relu: return std::max(0.0, x);
    case Activation::silu: return x / (1 + std::exp(-x));
  }
  return x;
}

// Pairs (i, i + rotary_dims / 2) of the head's first rotary_dims values.
void rotate(const Config& c, size_t position, double* head) {
  for (size_t i = 0; i < c.rotary_dims / 2; ++i) {
    const double angle = static_cast<double>(static_cast<float>(position) * frequency(c, i));
    double &a = head[i], &b = head[i + c.rotary_dims / 2];
    const double turned = a * std::cos(angle) - b * std::sin(angle);
    b = b * std::cos(angle) + a * std::sin(angle);
    a = turned;
  }
}

Row mlp(const Config& c, const std::string& h, const Row& x) {
  const size_t n_out = c.mlp == Mlp::gated ? 2 * c.n_inner : c.n_inner;
  const Row all = linear(h + "mlp.c_fc.weight", h + "mlp.c_fc.bias", n_out, x);
  Row inner(c.n_inner);
  for (size_t i = 0; i < inner.size(); ++i) {
    inner[i] = activate(c.activation, all[i]) * (c.mlp == Mlp::gated ? all[c.n_inner + i] : 1.0);
  }
  return linear(h + "mlp.c_proj.weight", h + "mlp.c_proj.bias", c.n_embd, inner);
}

// What the rows before have left: k and v of [position], all heads.
struct Memory {
  std::vector<Row> k, v;
};

Row attention(const Config& c, uint32_t layer, size_t position, const Row& x, Memory& memory) {
  const std::string h = "h." + std::to_string(layer) + ".attn.";
  const size_t d = c.d_head, n_q = c.n_head * d, n_k = c.n_kv_head * d;
  const Row qkv = linear(h + "c_attn.weight", h + "c_attn.bias", n_q + 2 * n_k, x);
  Row q(qkv.begin(), qkv.begin() + static_cast<ptrdiff_t>(n_q));
  memory.k.emplace_back(qkv.begin() + static_cast<ptrdiff_t>(n_q), qkv.begin() + static_cast<ptrdiff_t>(n_q + n_k));
  memory.v.emplace_back(qkv.begin() + static_cast<ptrdiff_t>(n_q + n_k), qkv.end());
  for (size_t i = 0; i < c.n_head; ++i) rotate(c, position, &q[i * d]);
  for (size_t i = 0; i < c.n_kv_head; ++i) rotate(c, position, &memory.k.back()[i * d]);
  const size_t window = c.window(layer), first = window > 0 && position + 1 > window ? position + 1 - window : 0;
  Row heads(n_q, 0.0);
  for (size_t i = 0; i < c.n_head; ++i) {
    const size_t shared = i / (c.n_head / c.n_kv_head) * d;
    Row p(position + 1, 0.0);
    double sum = 0;
    for (size_t j = first; j <= position; ++j) {
      double score = 0;
      for (size_t e = 0; e < d; ++e) score += q[i * d + e] * memory.k[j][shared + e];
      sum += p[j] = std::exp(score * (c.scale_attn_weights ? 1 / std::sqrt(static_cast<double>(d)) : 1.0));
    }
    for (size_t j = first; j <= position; ++j) {
      for (size_t e = 0; e < d; ++e) heads[i * d + e] += p[j] / sum * memory.v[j][shared + e];
    }
  }
  return linear(h + "c_proj.weight", h + "c_proj.bias", c.n_embd, heads);
}

void add(Row& x, const Row& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

Config config_of(const char* name, uint32_t n_head, uint32_t n_kv_head, uint32_t d_head) {
  Config c;
  c.architecture = name;
  c.n_layer = 2;
  c.n_head = n_head;
  c.n_kv_head = n_kv_head;
  c.d_head = d_head;
  c.n_embd = 40;
  c.n_inner = 52;
  c.n_ctx = 160;
  c.n_vocab = 37;
  return c;
}

Config rotary(Config c, uint32_t dims) {
  c.positions = Positions::rotary;
  c.rotary_dims = dims;
  return c;
}

Config llama_like(Config c) {
  c.norm = Norm::rms;
  c.mlp = Mlp::gated;
  c.activation = Activation::silu;
  return c;
}

}  // namespace

// FNV-1a of the name and then the same steps as scripts/make_family_goldens.py, so that weights need not be stored.
float golden_element(std::string_view name, uint64_t index, bool is_vector) {
  uint64_t x = 0xCBF29CE484222325u;
  for (const char c : name) x = (x ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  x += index * 0x9E3779B97F4A7C15u;
  float sum = -2;
  for (int i = 0; i < 4; ++i) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    sum += static_cast<float>((x ^ (x >> 31)) >> 40) * 0x1p-24f;
  }
  if (name.ends_with("bias")) return 0.3f * sum;
  if (is_vector) return 1 + 0.1f * sum;
  const bool embedding = name.find("emb") != std::string_view::npos || name.find("wte") != std::string_view::npos ||
                         name.find("wpe") != std::string_view::npos;
  return (embedding ? 0.8f : 0.4f) * sum;
}

std::vector<FamilyCase> family_cases() {
  std::vector<FamilyCase> cases;
  const auto add_case = [&](const char* name, Config c) -> Config& {
    return cases.emplace_back(name, std::move(c)).config;
  };
  add_case("gpt_bigcode, one head of keys", config_of("gpt_bigcode", 5, 1, 8));
  Config& gptj = add_case("gptj", rotary(config_of("gptj", 3, 3, 16), 8));
  gptj.residual = Residual::parallel_one_norm;
  gptj.tied_lm_head = false;
  gptj.head_bias = true;
  Config& neox = add_case("gpt_neox", rotary(config_of("gpt_neox", 2, 2, 24), 6));
  neox.residual = Residual::parallel_two_norms;
  neox.activation = Activation::gelu_erf;
  Config& neo = add_case("gpt_neo", config_of("gpt_neo", 4, 4, 10));
  neo.scale_attn_weights = false;
  neo.windows = {0, 70};
  Config& opt = add_case("opt", config_of("opt", 2, 2, 20));
  opt.activation = Activation::relu;
  Config& llama = add_case("llama", llama_like(rotary(config_of("llama", 6, 2, 16), 16)));
  llama.layer_norm_epsilon = 1e-2f;
  llama.tied_lm_head = false;
  Config& mistral = add_case("mistral", llama_like(rotary(config_of("mistral", 9, 3, 12), 12)));
  mistral.windows = {5, 65};
  Config& gemma = add_case("gemma", llama_like(rotary(config_of("gemma", 4, 1, 80), 80)));
  gemma.activation = Activation::gelu_tanh;
  gemma.embedding_scale = 6.3125f;
  Config& stablelm = add_case("stablelm", rotary(config_of("stablelm", 3, 3, 64), 16));
  stablelm.mlp = Mlp::gated;
  stablelm.activation = Activation::silu;
  return cases;
}

std::string family_file(const Config& config, DType dtype) {
  // A letter a token, so that every id is one that a text may have.
  std::vector<uint32_t> offsets(1, 0), byte_tokens(256, kNoToken);
  std::string letters;
  for (uint32_t id = 0; id < config.n_vocab; ++id) {
    letters += static_cast<char>('A' + id);
    offsets.push_back(id + 1);
    byte_tokens['A' + id] = id;
  }
  const std::vector<MergeSlot> no_merges(1, MergeSlot{kNoToken, 0, 0, 0});
  TokenizerTables tokenizer;
  tokenizer.bytes = letters;
  tokenizer.offsets = offsets;
  tokenizer.merges = no_merges;
  tokenizer.byte_tokens = byte_tokens;
  NamedSource source(config);
  MemorySink sink;
  WriteOptions options;
  options.dtype = dtype;
  options.source = config.architecture;
  write_model(config, tokenizer, source, options, sink, nullptr);
  const AlignedBuffer<std::byte> bytes = sink.take();
  const void* data = bytes.data();
  return {static_cast<const char*>(data), bytes.size()};
}

Model make_family_model(const Config& config, DType dtype) {
  const std::string file = family_file(config, dtype);
  AlignedBuffer<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  return Model::from_memory(std::move(bytes), config.architecture);
}

std::vector<double> expected_logits(const Config& c, const std::vector<int32_t>& tokens) {
  std::vector<double> all;
  std::vector<Memory> memory(c.n_layer);
  for (size_t position = 0; position < tokens.size(); ++position) {
    Row x(c.n_embd);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t at = static_cast<size_t>(tokens[position]) * c.n_embd + i;
      x[i] = double{c.embedding_scale} * double{element("wte.weight", at)};
      if (c.positions == Positions::learned) x[i] += double{element("wpe.weight", position * c.n_embd + i)};
    }
    for (uint32_t layer = 0; layer < c.n_layer; ++layer) {
      const std::string h = "h." + std::to_string(layer) + ".";
      const Row before = x;
      add(x, attention(c, layer, position, norm(c, h + "ln_1", before), memory[layer]));
      switch (c.residual) {
        case Residual::serial: add(x, mlp(c, h, norm(c, h + "ln_2", x))); break;
        case Residual::parallel_one_norm: add(x, mlp(c, h, norm(c, h + "ln_1", before))); break;
        case Residual::parallel_two_norms: add(x, mlp(c, h, norm(c, h + "ln_2", before))); break;
      }
    }
    const std::string head = c.tied_lm_head ? "wte.weight" : "lm_head.weight", bias = c.head_bias ? "lm_head.bias" : "";
    const Row logits = linear(head, bias, c.n_vocab, norm(c, "ln_f", x));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

}  // namespace gpt2::test
