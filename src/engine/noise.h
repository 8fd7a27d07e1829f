// The noise of sampling: Gumbel variates hashed from where they are used, never drawn from a stream. So the same seed
// gives the same text whatever else runs, and a draft model can know the noise that its target will meet.
#pragma once

#include <cstdint>

namespace gpt2 {

// The noise of one token position of one sample.
class PositionNoise {
 public:
  // `seed` of the record, index of the sample within its record, index of the token in the whole sequence.
  PositionNoise(uint64_t seed, uint32_t sample, uint64_t token_index) noexcept;

  // 64 uniform bits for this token id.
  uint64_t bits(int32_t token) const noexcept;

  // Returns a standard Gumbel variate, -log(E) with E = -log(1 - v) exponential, v = (bits + 1/2) / 2^64. Large
  // variates (small E) are resolved down to E = 2^-65.
  static double gumbel(uint64_t bits) noexcept;
  // Returns at least gumbel(bits), for a fraction of the cost: E >= v.
  static double gumbel_bound(uint64_t bits) noexcept;

 private:
  uint64_t key_;
};

// Returns a seed for record `index` of an input whose own seed is `seed`.
uint64_t record_seed(uint64_t seed, uint64_t index) noexcept;

// Returns a seed of 53 bits from 64 drawn ones: JSON readers that keep numbers as doubles give it back unchanged.
constexpr uint64_t drawn_seed(uint64_t bits) noexcept { return bits >> 11; }

}  // namespace gpt2
