#include "src/io/safetensors_sink.h"

#include "src/base/checked.h"
#include "src/base/error.h"

namespace gpt2 {

SafetensorsSink::SafetensorsSink(ByteSink& sink, std::vector<TensorInfo> tensors,
                                 const std::vector<std::pair<std::string, std::string>>& metadata)
    : sink_(sink), tensors_(std::move(tensors)) {
  uint64_t at = 0;
  for (TensorInfo& tensor : tensors_) {
    std::optional<uint64_t> size = safetensors_item_size(tensor.dtype);
    for (const uint64_t dimension : tensor.shape) {
      if (size) size = checked_mul(*size, dimension);
    }
    const std::optional<uint64_t> end = size ? checked_add(at, *size) : std::nullopt;
    GPT2_CHECK(end && *end < uint64_t{1} << 62);
    tensor.begin = at;
    tensor.end = at = *end;
  }
  const std::string header = safetensors_header(metadata, tensors_, 64);
  data_begin_ = header.size();
  sink_.resize(data_begin_ + at);
  sink_.write(0, std::as_bytes(std::span(header)));
}

void SafetensorsSink::write(size_t tensor, uint64_t first, std::span<const float> values) {
  write_bytes(tensor, first * sizeof(float), std::as_bytes(values));
}

void SafetensorsSink::write(size_t tensor, uint64_t first, std::span<const int32_t> values) {
  write_bytes(tensor, first * sizeof(int32_t), std::as_bytes(values));
}

void SafetensorsSink::write_bytes(size_t tensor, uint64_t offset, std::span<const std::byte> data) {
  GPT2_CHECK(tensor < tensors_.size());
  const TensorInfo& info = tensors_[tensor];
  GPT2_CHECK(offset <= info.end - info.begin && data.size() <= info.end - info.begin - offset);
  sink_.write(data_begin_ + info.begin + offset, data);
}

}  // namespace gpt2
