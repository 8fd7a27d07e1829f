#include "src/base/team_size.h"

#include <algorithm>
#include <bit>

#include "src/base/error.h"

namespace gpt2 {
namespace {

// A window is long beside a time slice (about 3 ms), or what it shows is chance.
constexpr double kWindow = 0.03, kTrial = 0.02;
constexpr uint32_t kLeastSteps = 3;
// Of the threads' time: more is slept where another program runs, or where the work does not divide.
constexpr double kBusy = 0.08;
// Early ends: so much slept time, in so large a part; a trial that is so much slower.
constexpr double kClearlySlept = 0.003, kClearlyBusy = 0.25, kClearlySlower = 1.25, kSlowerSeconds = 0.002;
// A count must be this much faster to replace the settled one. Fewer threads leave more to others.
constexpr double kFewerWins = 0.98, kMoreWins = 0.97;
// Seconds between trials, at first and at most: a trial costs half of kTrial where it is twice as slow.
constexpr double kCalm = 2, kCalmMost = 32, kBusyWait = 0, kBusyMost = 1.6, kMore = 0.1, kMoreMost = 1.6;

double longer(double wait, double least, double most) { return std::clamp(2 * wait, least, most); }

}  // namespace

TeamSize::TeamSize(uint32_t most) : most_(most) {
  GPT2_CHECK(most >= 1);
  for (Kind& kind : kinds_) {
    kind.count = most;
    kind.wait_calm = kCalm;
    kind.wait_busy = kBusyWait;
    kind.wait_more = kMore;
  }
}

// Few rows: each number by itself, as a row more costs little there. Many: by powers of two.
size_t TeamSize::kind_of(uint32_t rows) noexcept {
  return rows <= kFew ? rows - 1 : kFew - 1 + static_cast<size_t>(std::bit_width(rows - 1)) - 3;
}

uint32_t TeamSize::next(uint32_t rows) const noexcept {
  const Kind& kind = kinds_[kind_of(rows)];
  return kind.trial > 0 ? kind.trial : kind.count;
}

void TeamSize::record(uint32_t rows, double seconds, double slept) noexcept {
  if (most_ == 1) return;
  Kind& kind = kinds_[kind_of(rows)];
  kind.window.seconds += seconds;
  kind.window.rows += rows;
  kind.window.slept += slept;
  ++kind.window.steps;
  kind.trial > 0 ? judge(kind) : settle(kind);
}

// The settled count: at a window's end its pace is known, and a trial may begin.
void TeamSize::settle(Kind& kind) const noexcept {
  const Window& w = kind.window;
  const double part = w.slept / (w.seconds * kind.count);
  const bool clear = w.steps >= kLeastSteps && w.seconds >= kTrial && w.slept >= kClearlySlept && part >= kClearlyBusy;
  if (!clear && (w.steps < kLeastSteps || w.seconds < kWindow)) return;
  kind.pace = w.pace();
  kind.since_fewer += w.seconds;
  kind.since_more += w.seconds;
  kind.window = {};
  const double wait_fewer = part >= kBusy ? std::min(kind.wait_busy, kind.wait_calm) : kind.wait_calm;
  if (kind.count > 1 && kind.since_fewer >= wait_fewer) {
    kind.trial = kind.count > kind.stride ? kind.count - kind.stride : 1;
  } else if (kind.count < most_ && kind.since_more >= kind.wait_more) {
    kind.trial = std::min(most_, kind.count + kind.stride);
  }
}

void TeamSize::judge(Kind& kind) const noexcept {
  const Window& w = kind.window;
  const bool fewer = kind.trial < kind.count;
  if (w.seconds > kClearlySlower * kind.pace * w.rows + kSlowerSeconds) return end_trial(kind, false);
  if (w.steps < kLeastSteps || w.seconds < kTrial) return;
  end_trial(kind, w.pace() < kind.pace * (fewer ? kFewerWins : kMoreWins));
}

// A direction that lost is tried again later and later, one that won soon.
void TeamSize::end_trial(Kind& kind, bool won) const noexcept {
  const bool fewer = kind.trial < kind.count;
  if (fewer) {
    kind.wait_busy = won ? kBusyWait : longer(kind.wait_busy, kWindow, kBusyMost);
    kind.wait_calm = won ? kCalm : longer(kind.wait_calm, kCalm, kCalmMost);
    kind.since_fewer = 0;
    if (won) kind.wait_more = kMore;
  } else {
    kind.wait_more = won ? kMore : longer(kind.wait_more, kMore, kMoreMost);
    if (won) kind.wait_busy = kBusyWait;
    kind.since_fewer = 0;
  }
  kind.since_more = 0;
  if (won) kind.count = kind.trial;
  kind.stride = kind.stride < most_ / 2 ? 2 * kind.stride : 1;
  kind.trial = 0;
  kind.window = {};
}

}  // namespace gpt2
