#include "tools/reorder_window.h"

#include <utility>

#include "src/base/error.h"

namespace gpt2 {

uint64_t ReorderWindow::expect() {
  if (order_ == Order::of_input) results_.emplace_back();
  ++n_expected_;
  return next_++;
}

void ReorderWindow::put(uint64_t place, std::string result) {
  if (order_ == Order::of_completion) {
    --n_expected_;
    write_(result);
    return;
  }
  GPT2_CHECK(place >= first_ && place < next_ && !results_[place - first_]);
  n_bytes_ += result.size();
  results_[place - first_] = std::move(result);
  while (!results_.empty() && results_.front()) {
    const std::string ready = std::move(*results_.front());
    results_.pop_front();
    ++first_;
    --n_expected_;
    n_bytes_ -= ready.size();
    write_(ready);
  }
}

}  // namespace gpt2
