#include "src/convert/convert.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include "kernels/float_types.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/io/checkpoint.h"
#include "src/convert/architecture.h"
#include "src/convert/config_json.h"
#include "src/convert/family_source.h"
#include "src/convert/smoothing.h"
#include "src/convert/tokenizer_files.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {
namespace {

constexpr std::string_view kPrefix = "transformer.";
constexpr uint64_t kMaxConfigBytes = 1u << 20;

std::string_view without_prefix(std::string_view name) {
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

// The causal mask that old checkpoints carry as if it were a parameter.
bool is_mask_buffer(std::string_view name) {
  return name.starts_with("h.") && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"));
}

// Published linear weights are Conv1D: [inputs, outputs]; embeddings and the head are [outputs, inputs].
bool is_conv1d(const TensorSpec& spec) { return !spec.bias.empty(); }

// Reads elements of a mapped tensor, at any alignment, as float.
class ElementReader {
 public:
  explicit ElementReader(const Checkpoint::Tensor& tensor) : data_(tensor.data.data()), dtype_(tensor.info.dtype) {}

  void read(uint64_t first, uint64_t count, float* out) const {
    if (dtype_ == "F32") {
      std::memcpy(out, data_ + first * sizeof(float), count * sizeof(float));
      return;
    }
    for (uint64_t i = 0; i < count; ++i) {
      uint16_t half = 0;
      std::memcpy(&half, data_ + (first + i) * sizeof half, sizeof half);
      out[i] = dtype_ == "F16" ? f16_to_float(half) : bf16_to_float(half);
    }
  }

 private:
  const std::byte* data_;
  std::string_view dtype_;
};

class CheckpointSource final : public ParameterSource {
 public:
  explicit CheckpointSource(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
    for (const Checkpoint::Tensor& tensor : checkpoint.tensors()) {
      const std::string_view name = without_prefix(tensor.info.name);
      const auto [other, added] = tensors_.emplace(name, &tensor);
      if (!added) {
        fail_model(checkpoint.file_of(tensor), tensor.info.name, "one tensor of this name",
                   "another as " + other->second->info.name);
      }
    }
  }

  const Checkpoint::Tensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

  // Throws unless every tensor that `config` needs is there, in shape and type.
  void check(const Config& config) const {
    for (const TensorSpec& spec : model_schema(config)) {
      if (spec.arrangement == Arrangement::vector) {
        check_tensor(spec.name, {spec.rows});
      } else if (is_conv1d(spec)) {
        check_tensor(spec.name, {spec.cols, spec.rows});
        check_tensor(spec.bias, {spec.rows});
      } else {
        check_tensor(spec.name, {spec.rows, spec.cols});
      }
    }
  }

  // Tensors that are no part of the model: masks silently, layers that the configuration does not have as an error, the rest
  // with a warning each.
  void check_unused(const Config& config, std::vector<std::string>& warnings) const {
    std::map<std::string, bool, std::less<>> used;
    for (const TensorSpec& spec : model_schema(config)) {
      used[spec.name] = true;
      used[spec.bias] = true;
    }
    for (const auto& [name, tensor] : tensors_) {
      if (used.contains(name) || is_mask_buffer(name)) continue;
      if (name == "lm_head.weight" && same_bytes(*tensor, *find("wte.weight"))) continue;
      if (layer_of(name) >= config.n_layer) {
        fail_model(checkpoint_.file_of(*tensor), tensor->info.name, "no layer past " + std::to_string(config.n_layer - 1),
                   "this tensor");
      }
      warnings.push_back(checkpoint_.file_of(*tensor) + ": tensor " + printable(tensor->info.name) + " left out: " +
                         (name == "lm_head.weight" ? "config.json ties the head to wte" : "not part of GPT-2"));
    }
  }

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    const ElementReader reader(*find(spec.name));
    if (!is_conv1d(spec)) return reader.read(first * spec.cols, count * spec.cols, out);
    float column[kPanelRows];
    GPT2_CHECK(count <= kPanelRows);
    for (uint64_t k = 0; k < spec.cols; ++k) {
      reader.read(k * spec.rows + first, count, column);
      for (uint64_t i = 0; i < count; ++i) out[i * spec.cols + k] = column[i];
    }
  }

  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    ElementReader(*find(name)).read(first, count, out);
  }

  void done(const TensorSpec& spec) override {
    if (const Checkpoint::Tensor* tensor = find(spec.name)) checkpoint_.drop(*tensor);
  }

 private:
  void check_tensor(const std::string& name, const std::vector<uint64_t>& shape) const {
    const Checkpoint::Tensor* tensor = find(name);
    if (tensor == nullptr) fail_model(checkpoint_.directory(), name, "a tensor of shape " + shape_text(shape), "none");
    const std::string& file = checkpoint_.file_of(*tensor);
    if (tensor->info.shape != shape) {
      fail_model(file, tensor->info.name, "shape " + shape_text(shape), shape_text(tensor->info.shape));
    }
    const std::string& dtype = tensor->info.dtype;
    if (dtype != "F32" && dtype != "F16" && dtype != "BF16") {
      fail_model(file, tensor->info.name, "F32, F16 or BF16", dtype);
    }
  }

  static bool same_bytes(const Checkpoint::Tensor& a, const Checkpoint::Tensor& b) {
    return a.info.dtype == b.info.dtype && a.data.size() == b.data.size() &&
           std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0;
  }

  // N of "h.N.", 0 for other names.
  static uint32_t layer_of(std::string_view name) {
    uint32_t layer = 0;
    if (name.starts_with("h.")) std::from_chars(name.data() + 2, name.data() + name.size(), layer);
    return layer;
  }

  const Checkpoint& checkpoint_;
  std::map<std::string, const Checkpoint::Tensor*, std::less<>> tensors_;
};

// A source whose head has the rows of some tokens only.
class DraftSource final : public ParameterSource {
 public:
  DraftSource(ParameterSource& source, TensorSpec head, std::span<const uint32_t> ids)
      : source_(source), head_(std::move(head)), ids_(ids) {}

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    if (spec.name != kDraftHead) return source_.read_rows(spec, first, count, out);
    for (uint64_t i = 0; i < count; ++i) source_.read_rows(head_, ids_[first + i], 1, out + i * spec.cols);
  }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    if (name != head_.bias || ids_.empty()) return source_.read_vector(name, first, count, out);
    for (uint64_t i = 0; i < count; ++i) source_.read_vector(name, ids_[first + i], 1, out + i);
  }
  void done(const TensorSpec& spec) override { source_.done(spec); }

 private:
  ParameterSource& source_;
  TensorSpec head_;
  std::span<const uint32_t> ids_;
};

// The directory's own name, however its path was written.
std::string name_of(const std::string& directory) {
  std::error_code error;
  std::string path = std::filesystem::absolute(directory, error).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return std::filesystem::path(path).filename().string();
}

uint64_t count_parameters(const Config& config) {
  uint64_t n = 0;
  for (const TensorSpec& spec : model_schema(config)) n += spec.rows * spec.cols + (spec.bias.empty() ? 0 : spec.rows);
  return n;
}

// A source that views its tensors.
class OwningSource final : public ParameterSource {
 public:
  OwningSource(const Checkpoint& checkpoint, ConfigFile& file, std::vector<std::string>& warnings)
      : tensors_(checkpoint, file.architecture->prefix), source_(tensors_, *file.architecture, file, warnings) {}
  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override { source_.read_rows(spec, first, count, out); }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override { source_.read_vector(name, first, count, out); }
  void done(const TensorSpec& spec) override { source_.done(spec); }

 private:
  NamedTensors tensors_;
  FamilySource source_;
};

std::unique_ptr<ParameterSource> open_source(const Checkpoint& checkpoint, ConfigFile& file, std::vector<std::string>& warnings) {
  if (file.architecture != nullptr) return std::make_unique<OwningSource>(checkpoint, file, warnings);
  auto source = std::make_unique<CheckpointSource>(checkpoint);
  source->check(file.config);
  source->check_unused(file.config, warnings);
  return source;
}

}  // namespace

std::vector<uint32_t> frequent_tokens(const Tokenizer& tokenizer, std::span<const int32_t> eos_token_ids, std::string_view text,
                                      uint32_t n) {
  if (n > tokenizer.n_tokens()) {
    fail(ExitCode::input, "--draft-vocab: expected at most the tokenizer's " + std::to_string(tokenizer.n_tokens()) + " tokens, found " +
                              std::to_string(n));
  }
  std::vector<uint64_t> counts(tokenizer.n_tokens(), 0);
  for (const int32_t token : tokenizer.encode(text)) ++counts[static_cast<size_t>(token)];
  for (const int32_t eos : eos_token_ids) {
    if (static_cast<size_t>(eos) < counts.size()) counts[static_cast<size_t>(eos)] = std::numeric_limits<uint64_t>::max();
  }
  std::vector<uint32_t> ids(counts.size());
  std::iota(ids.begin(), ids.end(), 0u);
  std::stable_sort(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
  ids.resize(n);
  std::sort(ids.begin(), ids.end());
  return ids;
}

ConvertReport convert_checkpoint(const std::string& directory, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress) {
  const std::string config_path = directory + "/config.json";
  ConfigFile config_file = parse_config(read_text_file(config_path, kMaxConfigBytes), config_path);
  Config& config = config_file.config;
  const Checkpoint checkpoint = Checkpoint::open(directory);
  std::vector<std::string> warnings = std::move(config_file.warnings);
  const std::unique_ptr<ParameterSource> source = open_source(checkpoint, config_file, warnings);
  const TokenizerData tokenizer = build_tokenizer(read_vocabulary(directory), config.n_vocab);
  WriteOptions write_options;
  write_options.dtype = options.dtype;
  write_options.keep = options.keep;
  write_options.source = name_of(directory);
  const TensorSpec head = model_schema(config).back();  // wte where it is tied
  if (options.draft_vocab > 0) {
    const Tokenizer words(tokenizer.tables(), directory);
    write_options.draft_ids = frequent_tokens(words, config.eos_token_ids, options.draft_text, options.draft_vocab);
    config.n_draft_vocab = options.draft_vocab;
  }
  SmoothedSource smoothed(config, *source, write_options);
  DraftSource reduced(smoothed, head, write_options.draft_ids);
  write_model(config, tokenizer.tables(), reduced, write_options, sink, progress);
  return {config, count_parameters(config), std::move(warnings)};
}

}  // namespace gpt2
