// A progress bar with rate and time left on stderr: only on a terminal, only for work of more than half a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/format.h"
#include "tools/terminal.h"

namespace gpt2 {

class ProgressBar {
 public:
  // `amount` writes an amount of work: human_bytes, human_count.
  ProgressBar(std::string label, Verbosity verbosity, std::string (*amount)(double) = human_bytes);
  ProgressBar(const ProgressBar&) = delete;
  ~ProgressBar();  // takes the bar off the screen
  void update(uint64_t done, uint64_t total);
  double seconds() const;  // since the start

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::string (*amount_)(double);
  bool visible_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now(), next_draw_;
};

}  // namespace gpt2
