#include "src/convert/named_tensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/float_types.h"
#include "src/base/error.h"
#include "src/convert/gguf_blocks.h"

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

constexpr uint64_t kMostBlockWeights = 256;

template <class T>
T load(const std::byte* data, uint64_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof value, sizeof value);
  return value;
}

}  // namespace

bool NamedTensor::is_float() const noexcept {
  if (blocks) return can_decode(*blocks);
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

uint64_t NamedTensor::size() const noexcept {
  uint64_t n = 1;
  for (const uint64_t d : shape) n *= d;  // the safetensors parser has checked the product
  return n;
}

// Whole blocks are decoded in place, the ends of the range beside it.
void NamedTensor::read_blocks(uint64_t first, uint64_t count, float* out) const {
  const GgufTypeInfo& info = gguf_type_info(*blocks);
  float block[kMostBlockWeights];
  GPT2_CHECK(info.weights <= kMostBlockWeights);
  while (count > 0) {
    const uint64_t number = first / info.weights, within = first % info.weights;
    const uint64_t whole = within == 0 ? count / info.weights : 0;
    if (whole > 0) {
      decode_blocks(*blocks, data.subspan(number * info.bytes, whole * info.bytes), {out, whole * info.weights});
    } else {
      decode_blocks(*blocks, data.subspan(number * info.bytes, info.bytes), {block, info.weights});
    }
    const uint64_t taken = whole > 0 ? whole * info.weights : std::min(count, info.weights - within);
    if (whole == 0) std::copy_n(block + within, taken, out);
    first += taken;
    count -= taken;
    out += taken;
  }
}

void NamedTensor::read(uint64_t first, uint64_t count, float* out) const {
  if (blocks) return read_blocks(first, count, out);
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

NamedTensors::NamedTensors(const GgufFile& gguf, const MappedFile& mapped) : origin_(gguf.path()) {
  for (const GgufTensor& tensor : gguf.tensors()) {
    const GgufTypeInfo& info = gguf_type_info(tensor.type);
    if (!can_decode(tensor.type)) {
      fail_model(origin_, tensor.name,
                 "F32, F16, BF16, F64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL or IQ4_XS",
                 std::string(info.name) + " (take another quantisation of this model, Q4_K_M or Q8_0)");
    }
    NamedTensor named = {std::string(tensor.name), origin_, std::string(info.name), {}, gguf.data(tensor),
                         [&mapped, begin = tensor.begin, bytes = tensor.bytes] { mapped.drop(begin, bytes); }};
    for (uint32_t i = tensor.rank; i-- > 0;) named.shape.push_back(tensor.shape[i]);
    if (info.weights > 1) named.blocks = tensor.type;
    tensors_.emplace(tensor.name, std::move(named));
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
