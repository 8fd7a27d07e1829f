#include "src/engine/noise.h"

#include <bit>

#include "src/base/portable_math.h"

namespace gpt2 {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;

// The finaliser of splitmix64 (Steele, Lea & Flood 2014): a bijection whose every output bit depends on every input
// bit.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

uint64_t combine(uint64_t key, uint64_t value) { return mix(key + kGolden * (value + 1)); }

constexpr double kLn2 = 0x1.62e42fefa39efp-1;

}  // namespace

PositionNoise::PositionNoise(uint64_t seed, uint32_t sample, uint64_t token_index) noexcept
    : key_(combine(combine(mix(seed + kGolden), sample), token_index)) {}

uint64_t PositionNoise::bits(int32_t token) const noexcept { return combine(key_, static_cast<uint32_t>(token)); }

double PositionNoise::gumbel(uint64_t bits) noexcept {
  constexpr double kUlp = 0x1p-64;
  // Above one half, 1 - v is taken from the complement, which loses nothing.
  const double e = bits >> 63 != 0 ? -portable_log((static_cast<double>(~bits) + 0.5) * kUlp)
                                   : -portable_log1m((static_cast<double>(bits) + 0.5) * kUlp);
  return -portable_log(e);
}

double PositionNoise::gumbel_bound(uint64_t bits) noexcept {
  return kLn2 * (std::countl_zero(bits) + 1) + 1e-9;
}

uint64_t record_seed(uint64_t seed, uint64_t index) noexcept { return combine(mix(seed ^ kGolden), index); }

}  // namespace gpt2
