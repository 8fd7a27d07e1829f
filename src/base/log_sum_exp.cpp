#include "src/base/log_sum_exp.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "src/base/error.h"
#include "src/base/portable_math.h"

namespace gpt2 {
namespace {

// Two doubles: one register of every 64-bit machine. A row has 50257 words and the compiler does not vectorise at -O2.
typedef double Pair __attribute__((vector_size(16)));
typedef uint64_t PairBits __attribute__((vector_size(16)));
constexpr size_t kPairs = 4;  // partial sums of a row, enough chains to fill the adders; one order everywhere

// exp for -700 <= x <= 0 to 1e-12 relative: 2^n exp(r) with |r| <= 0.35, so that r^11 / 11! < 3e-13.
inline Pair exp_of_difference(Pair x) {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds to a whole number, which then stands in the low bits
  constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefa39efp-1;
  constexpr double kCoefficients[] = {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                                      1.0 / 24,     1.0 / 6,     0.5,        1.0,       1.0};
  const Pair shifted = x * kLog2e + kMagic;
  const Pair r = x - (shifted - kMagic) * kLn2;
  Pair sum = r * (1.0 / 3628800) + kCoefficients[0];
  for (size_t i = 1; i < std::size(kCoefficients); ++i) sum = sum * r + kCoefficients[i];
  return std::bit_cast<Pair>(std::bit_cast<PairBits>(sum) + (std::bit_cast<PairBits>(shifted) << 52));
}

// sum(exp(x - max)) and, weighted, sum(exp(x - max) (x - another row's or x - max)).
enum class Weight { none, other_row, max };
struct ExpSums {
  float max;
  double exps, weighted_differences;
};
template <Weight kWeight>
ExpSums exp_sums(std::span<const float> x, const float* other) {
  const double max = *std::max_element(x.begin(), x.end());
  const auto below_max = [&](size_t i) { return std::max(x[i] - max, -700.0); };
  const auto difference = [&](size_t i) { return kWeight == Weight::max ? x[i] - max : double{x[i]} - other[i]; };
  Pair exps[kPairs] = {}, weighted[kPairs] = {};
  size_t i = 0;
  for (; i + 2 * kPairs <= x.size(); i += 2 * kPairs) {
    for (size_t pair = 0; pair < kPairs; ++pair) {
      const size_t at = i + 2 * pair;
      const Pair e = exp_of_difference(Pair{below_max(at), below_max(at + 1)});
      exps[pair] += e;
      if constexpr (kWeight != Weight::none) weighted[pair] += e * Pair{difference(at), difference(at + 1)};
    }
  }
  for (; i < x.size(); ++i) {
    const Pair e = exp_of_difference(Pair{below_max(i), -700.0});
    exps[0][0] += e[0];
    if constexpr (kWeight != Weight::none) weighted[0][0] += e[0] * difference(i);
  }
  ExpSums sums = {static_cast<float>(max), 0, 0};
  for (size_t pair = 0; pair < kPairs; ++pair) {
    sums.exps += exps[pair][0] + exps[pair][1];
    sums.weighted_differences += weighted[pair][0] + weighted[pair][1];
  }
  return sums;
}

double log_of(const ExpSums& sums) { return sums.max + portable_log(sums.exps); }

}  // namespace

double log_sum_exp(std::span<const float> logits) { return log_of(exp_sums<Weight::none>(logits, nullptr)); }

// With Z the sum of exps and x measured from the maximum: -sum p log p = log Z - sum p x.
double log_sum_exp(std::span<const float> logits, double& entropy) {
  const ExpSums sums = exp_sums<Weight::max>(logits, nullptr);
  entropy = portable_log(sums.exps) - sums.weighted_differences / sums.exps;
  return log_of(sums);
}

// With Z the sum of exps: sum p (log p - log q) = sum p (x - y) - log Z_p + log Z_q.
double kl_divergence(std::span<const float> reference, std::span<const float> logits) {
  GPT2_CHECK(reference.size() == logits.size());
  const ExpSums p = exp_sums<Weight::other_row>(reference, logits.data());
  return std::max(0.0, p.weighted_differences / p.exps - log_of(p) + log_sum_exp(logits));
}

}  // namespace gpt2
