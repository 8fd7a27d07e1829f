#include "src/base/wait_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "src/base/clock.h"

namespace gpt2 {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);

void WaitWord::wake() noexcept { syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }

// The kernel compares the value again, so that a wake between the look and the sleep is not lost; it may return early.
double WaitWord::sleep(uint32_t old) noexcept {
  const double start = now_seconds();
  sleepers_.fetch_add(1);
  while (value_.load() == old) syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
  sleepers_.fetch_sub(1);
  return now_seconds() - start;
}

}  // namespace gpt2
