#include "src/convert/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "src/base/portable_math.h"

namespace gpt2 {
namespace {

constexpr double kTurn = 2 * 0x1.921fb54442d18p+1;  // 2 pi

double rounded(double x, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits - 1, x);
  return std::strtod(text, nullptr);
}

// x with 1 to `most` decimal digits, fewest first, and each number once.
std::vector<double> short_decimals(double x, int most) {
  std::vector<double> values;
  if (!(x > 0) || !std::isfinite(x)) return values;
  for (int digits = 1; digits <= most; ++digits) {
    const double value = rounded(x, digits);
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return values;
}

class Search {
 public:
  Search(std::span<const float> table, uint32_t dims) : table_(table.first(dims / 2)), dims_(dims) {}

  std::optional<Rope> find() const {
    const size_t last = table_.size() - 1;
    for (const double factor : short_decimals(1 / double{table_[0]}, 9)) {
      std::vector<double> bases = bases_of(0, last, 9);
      add_neighbours(bases);
      for (const double base : bases) {
        const Rope rope{base, {factor == 1 ? RopeScaling::Kind::none : RopeScaling::Kind::linear, factor}};
        if (equal_pairs(rope) == table_.size()) return rope;
      }
    }
    return find_llama3();
  }

  double find_base() const {
    Rope best;
    size_t most = 0;
    for (size_t pair = 1; pair < table_.size(); ++pair) {
      for (const double base : bases_of(0, pair, 6)) {
        const size_t equal = equal_pairs({base, {}});
        if (equal <= most) continue;
        most = equal;
        best.base = base;
      }
    }
    return best.base;
  }

 private:
  // The bases that the distance between two pairs allows.
  std::vector<double> bases_of(size_t first, size_t second, int digits) const {
    if (first == second) return {10000};
    const double ratio = double{table_[first]} / double{table_[second]};
    return short_decimals(std::pow(ratio, dims_ / (2.0 * static_cast<double>(second - first))), digits);
  }

  // What gives the same table is the same base: floats around the last, then finer steps.
  static void add_neighbours(std::vector<double>& bases) {
    if (bases.empty()) return;
    const double middle = bases.back();
    for (int step = -8; step <= 8; ++step) {
      bases.push_back(double{static_cast<float>(middle * (1 + step * 0x1p-24))});
    }
    for (int step = -64; step <= 64; ++step) bases.push_back(middle * (1 + step * 0x1p-28));
  }

  size_t equal_pairs(const Rope& rope) const {
    if (!(rope.base >= 1)) return 0;
    size_t i = 0;
    while (i < table_.size() && static_cast<float>(rope.frequency(static_cast<uint32_t>(i), dims_)) == table_[i]) ++i;
    return i;
  }

  // The first pairs are plain and the last ones divided: those behind one another tell the base, the last one then the
  // factor. Where it sets in follows from a length that is a power of two.
  std::optional<Rope> find_llama3() const {
    const size_t last = table_.size() - 1;
    for (size_t pair = 0; pair < last; ++pair) {
      for (const double base : bases_of(pair, last, 6)) {
        if (const std::optional<Rope> rope = divided(base)) return rope;
      }
      for (const double base : bases_of(0, pair + 1, 6)) {
        if (const std::optional<Rope> rope = divided(base)) return rope;
      }
    }
    return std::nullopt;
  }

  std::optional<Rope> divided(double base) const {
    if (!(base >= 1)) return std::nullopt;
    const auto last = static_cast<uint32_t>(table_.size() - 1);
    const Rope plain{base, {}};
    for (const double factor : short_decimals(plain.frequency(last, dims_) / double{table_[last]}, 4)) {
      for (double original = 32; original <= 1 << 20; original *= 2) {
        const Rope rope{base, {RopeScaling::Kind::llama3, factor, 1, 4, original}};
        if (equal_pairs(rope) == table_.size()) return rope;
      }
    }
    return std::nullopt;
  }

  std::span<const float> table_;
  uint32_t dims_;
};

}  // namespace

double Rope::frequency(uint32_t pair, uint32_t dims) const {
  const double plain = portable_exp(-portable_log(base) * 2 * pair / dims);
  if (scaling.kind == RopeScaling::Kind::none) return plain;
  if (scaling.kind == RopeScaling::Kind::linear) return plain / scaling.factor;
  const double length = kTurn / plain;
  if (length < scaling.original / scaling.high) return plain;
  if (length > scaling.original / scaling.low) return plain / scaling.factor;
  const double smooth = (scaling.original / length - scaling.low) / (scaling.high - scaling.low);
  return (1 - smooth) * plain / scaling.factor + smooth * plain;
}

std::optional<Rope> find_rope(std::span<const float> table, uint32_t dims) { return Search(table, dims).find(); }

double find_rope_base(std::span<const float> table, uint32_t dims) { return Search(table, dims).find_base(); }

}  // namespace gpt2
