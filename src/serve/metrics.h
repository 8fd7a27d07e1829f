// What the server counts and times, for Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gpt2 {

// How often seconds were how long. A value; whoever shares one guards it.
class Histogram {
 public:
  static constexpr std::array<double, 16> kEdges = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                                    0.5,   1,     2,     5,    10,   20,   60,  300};

  void observe(double seconds) noexcept;
  // Returns how many were at most kEdges[i] long, above kEdges[i - 1]; the last: those above all edges.
  std::span<const uint64_t> counts() const noexcept { return counts_; }
  double sum() const noexcept { return sum_; }
  uint64_t count() const noexcept { return count_; }

 private:
  std::array<uint64_t, kEdges.size() + 1> counts_ = {};
  double sum_ = 0;
  uint64_t count_ = 0;
};

// Responses by status; any thread counts.
class RequestCounts {
 public:
  static constexpr int kLeast = 100, kMost = 599;

  // Counts a response; 0: the client left before there was one.
  void count(int status) noexcept;
  uint64_t of(int status) const noexcept { return counts_[index(status)].load(std::memory_order_relaxed); }

 private:
  static size_t index(int status) noexcept {
    return status < kLeast || status > kMost ? 0 : static_cast<size_t>(status - kLeast + 1);
  }
  std::array<std::atomic<uint64_t>, kMost - kLeast + 2> counts_ = {};
};

}  // namespace gpt2
