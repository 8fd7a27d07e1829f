#include "src/convert/named_tensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/float_types.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

// What torch.compile, DataParallel, PEFT and TRLX put before a name. Longest first.
constexpr std::string_view kWrappers[] = {"base_model.model.", "base_model.", "_orig_mod.", "module."};

std::string_view without_wrappers(std::string_view name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view wrapper : kWrappers) {
      if (!name.starts_with(wrapper)) continue;
      name.remove_prefix(wrapper.size());
      found = true;
      break;
    }
  }
  return name;
}

template <class T>
T load(const std::byte* data, uint64_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof value, sizeof value);
  return value;
}

}  // namespace

bool NamedTensor::is_float() const noexcept {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

uint64_t NamedTensor::size() const noexcept {
  uint64_t n = 1;
  for (const uint64_t d : shape) n *= d;  // the safetensors parser has checked the product
  return n;
}

void NamedTensor::read(uint64_t first, uint64_t count, float* out) const {
  if (dtype == "F32") {
    std::memcpy(out, data.data() + first * sizeof(float), count * sizeof(float));
    return;
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (dtype == "F64") {
      out[i] = static_cast<float>(load<double>(data.data(), first + i));
    } else {
      const auto half = load<uint16_t>(data.data(), first + i);
      out[i] = dtype == "F16" ? f16_to_float(half) : bf16_to_float(half);
    }
  }
}

bool same_values(const NamedTensor& a, const NamedTensor& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype && std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end())) return true;
  if (!a.is_float() || !b.is_float()) return false;
  constexpr uint64_t kBlock = 4096;
  std::vector<float> x(kBlock), y(kBlock);
  const uint64_t n = a.size();
  for (uint64_t first = 0; first < n; first += kBlock) {
    const uint64_t count = std::min(kBlock, n - first);
    a.read(first, count, x.data());
    b.read(first, count, y.data());
    for (uint64_t i = 0; i < count; ++i) {
      if (x[i] != y[i] && !(x[i] != x[i] && y[i] != y[i])) return false;
    }
  }
  return true;
}

NamedTensors::NamedTensors(const Checkpoint& checkpoint, std::string_view prefix) : origin_(checkpoint.directory()) {
  for (const Checkpoint::Tensor& tensor : checkpoint.tensors()) {
    const std::string& full = tensor.info.name;
    const std::string& file = checkpoint.file_of(tensor);
    if (full.find(".lora_A.") != std::string::npos || full.find(".base_layer.") != std::string::npos) {
      fail_model(file, full, "whole weights (merge the adapter first: model.merge_and_unload().save_pretrained(DIR))",
                 "a LoRA adapter beside its base");
    }
    std::string_view name = without_wrappers(full);
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    NamedTensor named = {full,
                         file,
                         tensor.info.dtype,
                         tensor.info.shape,
                         tensor.data,
                         [&checkpoint, &tensor] { checkpoint.drop(tensor); }};
    const auto [other, added] = tensors_.emplace(name, std::move(named));
    if (!added) fail_model(file, full, "one tensor of this name", "another as " + other->second.full_name);
  }
}

const NamedTensor* NamedTensors::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void NamedTensors::rename(std::string_view from, std::string to) {
  auto node = tensors_.extract(tensors_.find(from));
  GPT2_CHECK(!node.empty());
  node.key() = std::move(to);
  GPT2_CHECK(tensors_.insert(std::move(node)).inserted);
}

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (const uint64_t d : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + "]";
}

}  // namespace gpt2
