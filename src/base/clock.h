// The one clock that durations are measured with.
#pragma once

#include <chrono>

namespace gpt2 {

// Returns the seconds of a monotonic clock; only differences mean something.
inline double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace gpt2
