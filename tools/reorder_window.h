// Results that are done out of turn wait here for those before them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gpt2 {

class ReorderWindow {
 public:
  enum class Order { of_input, of_completion };
  // `write` gets each result whole.
  ReorderWindow(Order order, std::function<void(std::string_view)> write) : order_(order), write_(std::move(write)) {}

  // Takes a place behind all others and returns its number, one more each time.
  uint64_t expect();
  // The result of a place: written as soon as those before it are.
  void put(uint64_t place, std::string result);

  size_t expected() const noexcept { return n_expected_; }   // places without a result, or whose result waits
  size_t waiting_bytes() const noexcept { return n_bytes_; } // of results that wait

 private:
  Order order_;
  std::function<void(std::string_view)> write_;
  std::deque<std::optional<std::string>> results_;  // from first_ on; of_completion: not used
  uint64_t first_ = 0, next_ = 0;
  size_t n_expected_ = 0, n_bytes_ = 0;
};

}  // namespace gpt2
