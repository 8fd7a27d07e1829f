// A word that one thread sets and others wait for: they spin for a while and then sleep in the kernel (futex), so that
// no core is burnt for a thread that does not run. Made of std::atomic and the futex call alone, which
// ThreadSanitizer understands.
#pragma once

#include <atomic>
#include <cstdint>

namespace gpt2 {

// Tells the core that this is a loop that waits.
inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

class alignas(128) WaitWord {  // two cache lines: neighbours are fetched in pairs
 public:
  uint32_t value() const noexcept { return value_.load(std::memory_order_acquire); }

  // Sets the value; whoever sees it also sees what was written before. Calls the kernel where a thread sleeps.
  void set(uint32_t value) noexcept {
    // In one order with the sleepers' count: either the sleeper sees the value, or this sees the sleeper.
    value_.store(value);
    if (sleepers_.load() != 0) wake();
  }

  // Waits while the value is `old`; looks `spins` times before it sleeps. Returns the seconds that it slept.
  double wait(uint32_t old, uint32_t spins) noexcept {
    for (; spins > 0; --spins) {
      if (value() != old) return 0;
      cpu_pause();
    }
    return value() == old ? sleep(old) : 0;
  }

 private:
  void wake() noexcept;
  double sleep(uint32_t old) noexcept;

  std::atomic<uint32_t> value_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace gpt2
