#include "src/convert/gpt2_source.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>

#include "kernels/layout.h"
#include "src/base/error.h"
#include "src/convert/warnings.h"
#include "src/model/schema.h"

namespace gpt2 {
namespace {

constexpr std::string_view kEmbedding = "wte.weight", kHead = "lm_head.weight";

// The causal mask that old checkpoints carry as if it were a parameter.
bool is_mask_buffer(std::string_view name) {
  return name.starts_with("h.") && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"));
}

bool is_block_matrix(const TensorSpec& spec) { return !spec.bias.empty(); }

// N of "h.N.", 0 for other names.
uint32_t layer_of(std::string_view name) {
  uint32_t layer = 0;
  if (name.starts_with("h.")) std::from_chars(name.data() + 2, name.data() + name.size(), layer);
  return layer;
}

}  // namespace

Gpt2Source::Gpt2Source(NamedTensors& tensors, Config& config, std::vector<std::string>& warnings) : tensors_(tensors) {
  settle_head(tensors, config, warnings);
  settle_layout(config, warnings);
  check(config);
  check_unused(config, warnings);
}

void Gpt2Source::settle_head(NamedTensors& tensors, Config& config, std::vector<std::string>& warnings) const {
  const NamedTensor *wte = tensors.find(kEmbedding), *head = tensors.find(kHead);
  if (head == nullptr) return;
  if (wte == nullptr && config.tied_lm_head) {
    tensors.rename(kHead, std::string(kEmbedding));
  } else if (wte != nullptr && config.tied_lm_head && !same_values(*wte, *head)) {
    config.tied_lm_head = false;
    warnings.push_back(printable(head->file, 400) + ": " + printable(head->full_name) + " differs from " +
                       printable(wte->full_name) + ": the head is not tied, whatever config.json says");
  }
}

void Gpt2Source::settle_layout(const Config& config, std::vector<std::string>& warnings) {
  // Of c_attn the shape tells, of a square c_proj it does not: all matrices are as every c_attn is.
  const std::vector<uint64_t> linear = {3 * uint64_t{config.n_embd}, config.n_embd};
  for (uint32_t i = 0; i < config.n_layer; ++i) {
    const NamedTensor* c_attn = tensors_.find("h." + std::to_string(i) + ".attn.c_attn.weight");
    if (c_attn == nullptr || c_attn->shape != linear) return;
  }
  linear_ = true;
  warnings.push_back(printable(tensors_.origin(), 400) +
                     ": matrices are stored as nn.Linear has them, [outputs, inputs], and taken so");
}

bool Gpt2Source::is_transposed(const TensorSpec& spec) const { return is_block_matrix(spec) && !linear_; }

void Gpt2Source::check(const Config& config) const {
  for (const TensorSpec& spec : model_schema(config)) {
    if (spec.arrangement == Arrangement::vector) {
      check_tensor(spec.name, {spec.rows});
      continue;
    }
    check_tensor(spec.name,
                 is_transposed(spec) ? std::vector{spec.cols, spec.rows} : std::vector{spec.rows, spec.cols});
    if (!spec.bias.empty()) check_tensor(spec.bias, {spec.rows});
  }
}

void Gpt2Source::check_tensor(const std::string& name, const std::vector<uint64_t>& shape) const {
  const NamedTensor* tensor = tensors_.find(name);
  if (tensor == nullptr) fail_model(tensors_.origin(), name, "a tensor of shape " + shape_text(shape), "none");
  if (tensor->shape != shape) {
    const bool placeholder = tensor->size() == 0;
    fail_model(tensor->file, tensor->full_name, "shape " + shape_text(shape),
               shape_text(tensor->shape) +
                   (placeholder ? ", a place-holder of DeepSpeed's ZeRO-3 (gather the weights with its zero_to_fp32.py)"
                                : ""));
  }
  if (!tensor->is_float()) fail_model(tensor->file, tensor->full_name, "F32, F16, BF16 or F64", tensor->dtype);
}

// Tensors that are no part of the model: masks silently, layers that the configuration does not have as an error, the
// rest with a warning.
void Gpt2Source::check_unused(const Config& config, std::vector<std::string>& warnings) const {
  std::set<std::string, std::less<>> used;
  for (const TensorSpec& spec : model_schema(config)) {
    used.insert(spec.name);
    used.insert(spec.bias);
  }
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : tensors_.all()) {
    if (used.contains(name) || is_mask_buffer(name) || name == kHead) continue;
    if (layer_of(name) >= config.n_layer) {
      fail_model(tensor.file, tensor.full_name, "no layer past " + std::to_string(config.n_layer - 1), "this tensor");
    }
    unused.push_back(printable(tensor.file, 400) + ": tensor " + printable(tensor.full_name) +
                     " left out: not part of GPT-2");
  }
  add_first_few(warnings, unused, "tensors left out");
}

void Gpt2Source::read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) {
  const NamedTensor& tensor = *tensors_.find(spec.name);
  if (!is_transposed(spec)) return tensor.read(first * spec.cols, count * spec.cols, out);
  float column[kPanelRows];
  GPT2_CHECK(count <= kPanelRows);
  for (uint64_t k = 0; k < spec.cols; ++k) {
    tensor.read(k * spec.rows + first, count, column);
    for (uint64_t i = 0; i < count; ++i) out[i * spec.cols + k] = column[i];
  }
}

void Gpt2Source::read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) {
  tensors_.find(name)->read(first, count, out);
}

void Gpt2Source::done(const TensorSpec& spec) {
  if (const NamedTensor* tensor = tensors_.find(spec.name)) tensor->drop();
}

}  // namespace gpt2
