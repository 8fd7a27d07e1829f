// How many threads of a team pay right now: learned from the times of the steps alone, so that whoever knows the
// times knows the answer; no clock is read here. Other programs' load shows as threads that sleep because one of them
// does not run. Then, and rarely without it, a few steps are tried with another count, and the faster count stays.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gpt2 {

class TeamSize {
 public:
  explicit TeamSize(uint32_t most);  // >= 1

  // Returns the threads for the coming step of this many rows, 1 .. most.
  uint32_t next(uint32_t rows) const noexcept;
  // Returns the threads for such a step between trials.
  uint32_t settled(uint32_t rows) const noexcept { return kinds_[kind_of(rows)].count; }
  // Learns how that step went: its seconds, and the seconds that its threads slept in it, summed.
  void record(uint32_t rows, double seconds, double slept) noexcept;

 private:
  struct Window {
    double seconds = 0, rows = 0, slept = 0;
    uint32_t steps = 0;
    double pace() const noexcept { return seconds / rows; }
  };
  // Steps of about as many rows, whose times compare row by row.
  struct Kind {
    uint32_t count = 0;              // settled
    uint32_t trial = 0;              // being tried; 0: none
    uint32_t stride = 1;             // of the next trial; doubles from trial to trial
    Window window;                   // of the running count
    double pace = 0;                 // of the settled count's last window
    double since_fewer = 0, since_more = 0;  // settled seconds since a trial
    double wait_calm, wait_busy, wait_more;
  };

  static size_t kind_of(uint32_t rows) noexcept;
  void settle(Kind& kind) const noexcept;
  void judge(Kind& kind) const noexcept;
  void end_trial(Kind& kind, bool won) const noexcept;

  static constexpr size_t kFew = 8, kKinds = kFew + 32;
  uint32_t most_;
  std::array<Kind, kKinds> kinds_;
};

}  // namespace gpt2
