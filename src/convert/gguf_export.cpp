#include "src/convert/gguf_export.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "kernels/float_types.h"
#include "src/base/error.h"
#include "src/convert/foreign_tensors.h"
#include "src/convert/gguf_formats.h"
#include "src/convert/gguf_vocabulary.h"
#include "src/convert/rope.h"
#include "src/io/gguf_writer.h"
#include "src/model/schema.h"

namespace gpt2 {
namespace {

constexpr std::string_view kRopeFrequencies = "rope_freqs.weight";
constexpr size_t kBlock = 32;           // weights of Q8_0 and Q4_0
constexpr uint32_t kFileF32 = 0, kFileQ4 = 2, kFileQ8 = 7, kFileBf16 = 32;

// What a file of this format says of a block, whatever the model's is.
Config said_by(const GgufFormat& format, const Config& model) {
  Config c = model;
  c.norm = format.gated && format.name != "stablelm" ? Norm::rms : Norm::layer;
  c.mlp = format.gated ? Mlp::gated : Mlp::plain;
  c.positions = format.rotary ? Positions::rotary : Positions::learned;
  c.scale_attn_weights = true;
  c.scale_attn_by_inverse_layer_idx = false;
  const bool is_root = format.name == "gemma" && !gemma_dtype(c.n_embd, c.embedding_scale).empty();
  if (!is_root) c.embedding_scale = format.name == "gemma" ? gemma_embedding_scale(c.n_embd, "") : 1.0f;
  c.head_bias = format.name == "phi2";
  if (!format.partial && format.rotary) c.rotary_dims = c.d_head;
  if (!format.rotary) c.d_head = c.n_embd / c.n_head;
  const bool any_heads = format.rotary || (format.name == "starcoder" && c.n_kv_head == 1);
  if (!any_heads) c.n_kv_head = c.n_head;
  const bool windowed = format.name == "llama" && c.window(0) > 0;
  c.windows = windowed ? std::vector<uint32_t>(c.n_layer, c.window(0)) : std::vector<uint32_t>();
  if (format.name == "phi2") c.residual = Residual::parallel_one_norm;
  const bool chosen = format.name == "phi2" || format.name == "gptneox" || format.name == "stablelm";
  if (!chosen || (format.name == "gptneox" && c.residual == Residual::parallel_one_norm) ||
      (format.name == "stablelm" && c.residual == Residual::parallel_two_norms)) {
    c.residual = Residual::serial;
  }
  c.activation = Activation::gelu_tanh;
  if (format.gated && format.name != "gemma") c.activation = Activation::silu;
  if (format.name == "gptneox") c.activation = Activation::gelu_erf;
  return c;
}

class Exporter {
 public:
  Exporter(const Model& model, ByteSink& sink, const Progress& progress)
      : model_(model), config_(model.config()), sink_(sink), progress_(progress), format_(format_of(model)) {
    check_expressible();
    tensors_.emplace(model.file(), gguf_rules(format_, format_.fused), bias_uses(), model.name());
  }

  void run() {
    write_general();
    write_keys();
    if (format_.rotary) write_rotary();
    write_gguf_vocabulary(model_, out_);
    std::vector<uint64_t> begins;
    if (!divisors_.empty()) {
      begins.push_back(out_.tensor(kRopeFrequencies, std::vector<uint64_t>{divisors_.size()}, GgufType::f32));
    }
    for (const ForeignTensor& tensor : tensors_->all()) {
      begins.push_back(out_.tensor(tensor.name, tensor.shape, type_of(tensor)));
    }
    const std::string header = out_.header();
    data_begin_ = header.size();
    sink_.resize(data_begin_ + out_.data_bytes());
    sink_.write(0, std::as_bytes(std::span(header)));
    auto begin = begins.begin();
    if (!divisors_.empty()) sink_.write(data_begin_ + *begin++, std::as_bytes(std::span(divisors_)));
    for (const ForeignTensor& tensor : tensors_->all()) write_tensor(tensor, *begin++);
  }

 private:
  static const GgufFormat& format_of(const Model& model) {
    if (const GgufFormat* format = gguf_format_of(model.config().architecture)) return *format;
    fail_model(model.name(), "block.architecture", "one that GGUF has (" + gguf_architecture_names() + ")",
               "\"" + model.config().architecture + "\"");
  }

  void check_expressible() const {
    const Config said = said_by(format_, config_);
    const auto compare = [&](const auto& ours, const auto& theirs) {
      for (const auto& [key, value] : ours) {
        const std::string_view name = key;  // clang 14 cannot capture a structured binding
        const auto same = std::find_if(theirs.begin(), theirs.end(), [&](const auto& i) { return i.first == name; });
        if (same != theirs.end() && same->second == value) continue;
        fail_model(model_.name(), key,
                   same != theirs.end() ? same->second + " (GGUF's " + std::string(format_.name) + " has no other)"
                                        : "none (GGUF's " + std::string(format_.name) + " has no key for it)",
                   value);
      }
    };
    compare(config_metadata(config_), config_metadata(said));
    compare(block_metadata(config_), block_metadata(said));
    for (const auto& [key, value] : block_metadata(said)) {
      const std::string_view name = key;
      const auto ours = block_metadata(config_);
      if (std::any_of(ours.begin(), ours.end(), [&](const auto& i) { return i.first == name; })) continue;
      fail_model(model_.name(), key, value + " (GGUF's " + std::string(format_.name) + " has no other)", "GPT-2's");
    }
  }

  BiasUses bias_uses() const {
    if (format_.biases == GgufBiases::all) return {};
    const bool inputs = format_.biases == GgufBiases::attention_inputs;
    return {inputs ? BiasUse::always : BiasUse::where_used, BiasUse::where_used, BiasUse::where_used};
  }

  std::string key(std::string_view end) const { return std::string(format_.name) + "." + std::string(end); }

  static GgufType type_of(const ForeignTensor& tensor) {
    const bool whole = tensor.cols() % kBlock == 0;
    switch (tensor.dtype()) {
      case DType::bf16: return GgufType::bf16;
      case DType::int8:
      case DType::int8g32: return whole ? GgufType::q8_0 : GgufType::f32;
      case DType::int4: return whole ? GgufType::q4_0 : GgufType::f32;
      default: return GgufType::f32;
    }
  }

  // The type of most weights, for people.
  uint32_t file_type() const {
    uint64_t sizes[std::size(kAllDTypes)] = {};
    for (const ForeignTensor& tensor : tensors_->all()) {
      sizes[static_cast<size_t>(tensor.dtype())] += tensor.rows() * tensor.cols();
    }
    constexpr uint32_t kTypes[] = {kFileF32, kFileBf16, kFileQ8, kFileQ4, kFileQ8};  // in the order of DType
    return kTypes[std::max_element(std::begin(sizes), std::end(sizes)) - std::begin(sizes)];
  }

  void write_general() {
    const std::string& source = model_.file().source;
    out_.text("general.architecture", format_.name).text("general.type", "model");
    if (!source.empty()) out_.text("general.name", source);
    const uint32_t type = file_type();
    out_.u32("general.file_type", type);
    if (type == kFileQ4 || type == kFileQ8) out_.u32("general.quantization_version", 2);
  }

  void write_keys() {
    const uint32_t sizes[] = {config_.n_ctx, config_.n_embd, config_.n_layer, config_.n_inner, config_.n_head};
    for (size_t i = 0; i < format_.keys.size(); ++i) {
      const std::string name = key(format_.keys[i].theirs);
      if (i < std::size(sizes)) {
        out_.u32(name, sizes[i]);
      } else {
        out_.f32(name, config_.layer_norm_epsilon);
      }
    }
    out_.u32(key("vocab_size"), config_.n_vocab).u32(key("attention.head_count_kv"), config_.n_kv_head);
    // Other readers scale by the root itself, as transformers does where it computes in f32.
    if (format_.name == "gemma" && config_.embedding_scale != gemma_embedding_scale(config_.n_embd, "")) {
      out_.f32(key("embedding_scale"), config_.embedding_scale);
    }
    if (config_.window(0) > 0) out_.u32(key("attention.sliding_window"), config_.window(0));
    if (format_.name == "gptneox" || format_.name == "stablelm") {
      out_.flag(key("use_parallel_residual"), config_.residual != Residual::serial);
    }
  }

  void write_rotary() {
    out_.u32(key("attention.key_length"), config_.d_head).u32(key("attention.value_length"), config_.d_head);
    out_.u32(key("rope.dimension_count"), config_.rotary_dims);
    const std::span<const float> table = model_.weights().frequencies;
    const std::optional<Rope> rope = find_rope(table, config_.rotary_dims);
    const bool plain = rope && rope->scaling.kind != RopeScaling::Kind::llama3 && is_f32(rope->base) &&
                       is_f32(rope->scaling.factor);
    const double base = rope ? rope->base : find_rope_base(table, config_.rotary_dims);
    out_.f32(key("rope.freq_base"), static_cast<float>(base));
    if (plain && rope->scaling.kind == RopeScaling::Kind::linear) {
      out_.text(key("rope.scaling.type"), "linear");
      out_.f32(key("rope.scaling.factor"), static_cast<float>(rope->scaling.factor));
    }
    if (!plain) divide(Rope{double{static_cast<float>(base)}, {}}, table);
  }

  static bool is_f32(double x) { return double{static_cast<float>(x)} == x; }

  // What each pair's frequency of this base is divided by to give the table's, in f32.
  void divide(const Rope& rope, std::span<const float> table) {
    for (uint32_t i = 0; i < config_.rotary_dims / 2; ++i) {
      const auto plain = static_cast<float>(rope.frequency(i, config_.rotary_dims));
      float divisor = plain / table[i];
      for (int step = 0; step < 4 && plain / divisor < table[i]; ++step) divisor = std::nextafter(divisor, 0.0f);
      for (int step = 0; step < 4 && plain / divisor > table[i]; ++step) divisor = std::nextafter(divisor, INFINITY);
      if (!(divisor > 0) || !std::isfinite(divisor) || plain / divisor != table[i]) {
        fail_model(model_.name(), kFrequencies, "what some rope.freq_base and divisors give",
                   std::to_string(table[i]) + " of pair " + std::to_string(i));
      }
      divisors_.push_back(divisor);
    }
  }

  void write_tensor(const ForeignTensor& tensor, uint64_t begin) {
    const GgufType type = type_of(tensor);
    const GgufTypeInfo& info = gguf_type_info(type);
    const uint64_t row_bytes = tensor.cols() / info.weights * info.bytes;
    std::vector<std::byte> bytes(row_bytes);
    for (uint64_t row = 0; row < tensor.rows(); ++row) {
      if (info.weights > 1) {
        put_blocks(tensor, row, bytes);
      } else {
        put_values(tensor, row, type, bytes);
      }
      sink_.write(data_begin_ + begin + row * row_bytes, bytes);
      if (progress_) progress_(begin + (row + 1) * row_bytes, out_.data_bytes());
    }
  }

  void put_values(const ForeignTensor& tensor, uint64_t row, GgufType type, std::vector<std::byte>& bytes) {
    values_.resize(tensor.cols());
    tensor.read(row, values_.data());
    if (type == GgufType::f32) {
      std::memcpy(bytes.data(), values_.data(), bytes.size());
      return;
    }
    for (size_t i = 0; i < values_.size(); ++i) {
      const uint16_t half = float_to_bf16(values_[i]);
      std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
    }
  }

  void put_blocks(const ForeignTensor& tensor, uint64_t row, std::vector<std::byte>& bytes) {
    const DType dtype = tensor.dtype();
    codes_.resize(padded_k(dtype, tensor.cols()));
    scales_.resize(groups_of(dtype, tensor.cols()));
    if (!tensor.read_codes(row, codes_.data(), scales_.data())) {
      fail_model(model_.name(), tensor.ours, "scales that f16 holds", "others, for they have the attention scale");
    }
    std::byte* at = bytes.data();
    for (size_t k = 0; k < tensor.cols(); k += kBlock) {
      std::memcpy(at, &scales_[k / layout_of(dtype).k_per_group], sizeof(uint16_t));
      at += sizeof(uint16_t);
      if (is_int8(dtype)) {
        std::memcpy(at, codes_.data() + k, kBlock);
        at += kBlock;
        continue;
      }
      for (size_t i = 0; i < kBlock / 2; ++i) {
        *at++ = static_cast<std::byte>((codes_[k + i] + 8) | (codes_[k + i + kBlock / 2] + 8) << 4);
      }
    }
  }

  const Model& model_;
  const Config& config_;
  ByteSink& sink_;
  const Progress& progress_;
  const GgufFormat& format_;
  std::optional<ForeignTensors> tensors_;
  GgufWriter out_;
  std::vector<float> divisors_;  // of the rotary frequencies; empty: none
  uint64_t data_begin_ = 0;
  std::vector<float> values_;
  std::vector<int8_t> codes_;
  std::vector<uint16_t> scales_;
};

}  // namespace

void write_gguf(const Model& model, ByteSink& sink, const Progress& progress) {
  Exporter(model, sink, progress).run();
}

}  // namespace gpt2
