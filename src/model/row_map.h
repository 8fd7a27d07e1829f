// Which logical output stands in which packed row: the identity with a padded tail for panels, by groups of heads for
// qkv, 8 gates and their 8 values for a gate.
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
  RowMap(const TensorSpec& spec, const Config& config) : spec_(spec), config_(config), d_pad_(config.d_pad()) {}

  PackedRow operator[](uint64_t packed) const {
    switch (spec_.arrangement) {
      case Arrangement::panels: return {packed < spec_.rows ? static_cast<int64_t>(packed) : -1, 1.0f};
      case Arrangement::gated: return gated_row(packed);
      default: return qkv_row(packed);
    }
  }

 private:
  // 8 gates, then their 8 values.
  PackedRow gated_row(uint64_t packed) const {
    constexpr uint64_t kHalf = kPanelRows / 2;
    const uint64_t lane = packed % kPanelRows, unit = packed / kPanelRows * kHalf + lane % kHalf,
                   n_inner = spec_.rows / 2;
    if (unit >= n_inner) return {};
    return {static_cast<int64_t>(lane < kHalf ? unit : n_inner + unit)};
  }

  // Logical rows are the q's of all heads, then the k's, then the v's; packed ones stand group by group.
  PackedRow qkv_row(uint64_t packed) const {
    const uint64_t n_rep = config_.n_rep(), group = packed / ((n_rep + 2) * d_pad_),
                   part = packed / d_pad_ % (n_rep + 2);
    const bool is_value = part == n_rep + 1, is_query = part < n_rep;
    const uint64_t d = is_value ? packed % d_pad_ : unmoved(packed % d_pad_);
    if (d >= config_.d_head) return {};
    const uint64_t head = is_query ? group * n_rep + part : config_.n_head + (is_value ? config_.n_kv_head : 0) + group;
    const bool scaled = is_query && spec_.arrangement == Arrangement::qkv_scaled;
    return {static_cast<int64_t>(head * config_.d_head + d), scaled ? config_.attention_scale(spec_.layer) : 1.0f};
  }

  // Where values turn, pair i stands at (i, i + d_pad / 2); those that do not turn fill the places behind the pairs of
  // each half.
  uint64_t unmoved(uint64_t d) const {
    if (config_.positions == Positions::learned) return d;
    const uint64_t half = d_pad_ / 2, pairs = config_.rotary_dims / 2, i = d % half, upper = d / half;
    return i < pairs ? upper * pairs + i : config_.rotary_dims + upper * (half - pairs) + (i - pairs);
  }

  const TensorSpec& spec_;
  const Config& config_;
  uint64_t d_pad_;
};

}  // namespace gpt2
