// Arithmetic on numbers that come from files: an overflow is a value (nullopt), never a wrap.
#pragma once

#include <cstdint>
#include <optional>

namespace gpt2 {

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional<uint64_t>(sum);
}

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional<uint64_t>(product);
}

// Returns the smallest multiple of `unit` (> 0) that is at least n; n is known to be far from 2^64.
constexpr uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace gpt2
