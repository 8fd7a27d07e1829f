#include "src/model/stored_rows.h"

#include <cmath>
#include <cstring>

#include "kernels/float_types.h"
#include "kernels/panel_row.h"
#include "src/base/error.h"
#include "src/model/row_map.h"

namespace gpt2 {

StoredRows::StoredRows(const StoredTensor& tensor, const Config& config) : tensor_(&tensor) {
  const TensorSpec& spec = tensor.spec;
  if (!is_packed(spec.arrangement)) return;
  packed_.resize(spec.rows);
  const RowMap map(spec, config);
  for (uint64_t packed = 0; packed < packed_rows(spec, config); ++packed) {
    const PackedRow row = map[packed];
    if (row.logical >= 0) packed_[static_cast<uint64_t>(row.logical)] = static_cast<uint32_t>(packed);
  }
  if (spec.arrangement != Arrangement::qkv_scaled) return;
  n_scaled_ = uint64_t{config.n_head} * config.d_head;
  factor_ = config.attention_scale(spec.layer);
}

StoredRows::Place StoredRows::place(uint64_t row) const {
  GPT2_CHECK(row < packed_.size());
  const uint32_t packed = packed_[row];
  const void* data = tensor_->data.data() + packed / kPanelRows * panel_bytes(tensor_->dtype, tensor_->spec.cols);
  return {static_cast<const unsigned char*>(data), packed % kPanelRows, row < n_scaled_ ? factor_ : 1.0f};
}

void StoredRows::read(uint64_t row, float* values) const {
  const uint64_t cols = tensor_->spec.cols;
  if (packed_.empty()) {
    GPT2_CHECK(row < tensor_->spec.rows);
    std::memcpy(values, tensor_->data.data() + row * cols * sizeof(float), cols * sizeof(float));
    return;
  }
  const Place at = place(row);
  unpack_row(tensor_->dtype, at.panel, cols, at.lane, values);
  for (uint64_t k = 0; at.factor != 1.0f && k < cols; ++k) values[k] /= at.factor;
}

float StoredRows::bias(uint64_t row) const {
  const Place at = place(row);
  return panel_bias(at.panel, at.lane) / at.factor;
}

bool StoredRows::read_codes(uint64_t row, int8_t* codes, uint16_t* scales) const {
  const uint64_t cols = tensor_->spec.cols;
  const Place at = place(row);
  unpack_codes(tensor_->dtype, at.panel, cols, at.lane, codes, scales);
  if (at.factor == 1.0f) return true;
  for (uint64_t i = 0; i < groups_of(tensor_->dtype, cols); ++i) {
    const float scale = f16_to_float(scales[i]) / at.factor;
    scales[i] = float_to_f16(scale);
    if (std::isfinite(scale) && f16_to_float(scales[i]) != scale) return false;
  }
  return true;
}

}  // namespace gpt2
