// Progress on stderr: only on a terminal, only for work of more than half a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/format.h"
#include "tools/terminal.h"

namespace gpt2 {

// A line that is drawn again and again.
class ProgressLine {
 public:
  explicit ProgressLine(Verbosity verbosity);
  ProgressLine(const ProgressLine&) = delete;
  ~ProgressLine();  // takes the line off the screen
  void clear();
  // Returns whether it is time to show something.
  bool due();
  // Cut to the terminal's width; `text` is ASCII.
  void show(const std::string& text);
  double seconds() const;  // since the start

 private:
  using Clock = std::chrono::steady_clock;
  bool visible_;
  Clock::time_point start_ = Clock::now(), next_draw_;
};

// A bar with rate and time left.
class ProgressBar {
 public:
  // `amount` writes an amount of work: human_bytes, human_count.
  ProgressBar(std::string label, Verbosity verbosity, std::string (*amount)(double) = human_bytes);
  void update(uint64_t done, uint64_t total);
  double seconds() const { return line_.seconds(); }  // since the start

 private:
  std::string label_;
  std::string (*amount_)(double);
  ProgressLine line_;
};

}  // namespace gpt2
