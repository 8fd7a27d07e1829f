// Which logical output stands in which packed row: the identity with a padded tail for panels, head by head for qkv.
#pragma once

#include <cstdint>

#include "src/base/checked.h"
#include "src/model/schema.h"

namespace gpt2 {

struct PackedRow {
  int64_t logical = -1;  // -1: padding
  float factor = 1;      // what the packed values were multiplied by: a power of two
};

class RowMap {
 public:
  RowMap(const TensorSpec& spec, const Config& config)
      : spec_(spec), config_(config), d_pad_(round_up(config.d_head, kPanelRows)) {}

  PackedRow operator[](uint64_t packed) const {
    if (spec_.arrangement == Arrangement::panels) {
      return {packed < spec_.rows ? static_cast<int64_t>(packed) : -1, 1.0f};
    }
    const uint64_t head = packed / (3 * d_pad_), part = packed / d_pad_ % 3, d = packed % d_pad_;
    if (d >= config_.d_head) return {};
    const bool scaled = part == 0 && spec_.arrangement == Arrangement::qkv_scaled;
    return {static_cast<int64_t>(part * config_.n_embd + head * config_.d_head + d),
            scaled ? config_.attention_scale(spec_.layer) : 1.0f};
  }

 private:
  const TensorSpec& spec_;
  const Config& config_;
  uint64_t d_pad_;
};

}  // namespace gpt2
