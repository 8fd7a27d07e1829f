#include "tools/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

std::atomic<bool> g_interrupted = false;
std::atomic<int> g_signal = 0;
char g_truncation_message[512];
std::atomic<size_t> g_truncation_length = 0;
char g_unfinished[4096];

static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

constexpr int kInterrupts[] = {SIGINT, SIGTERM};

void on_interrupt(int signal_number) {
  erase_progress();
  if (g_interrupted.exchange(true)) {  // the second one ends it at once
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    return;
  }
  g_signal = signal_number;
}

void on_bus_error(int) {
  const ssize_t ignored = write(STDERR_FILENO, g_truncation_message, g_truncation_length);
  static_cast<void>(ignored);
  if (g_unfinished[0] != '\0') unlink(g_unfinished);
  _exit(static_cast<int>(ExitCode::model));
}

void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, nullptr);
}

}  // namespace

void ignore_file_size_signal() { handle(SIGXFSZ, SIG_IGN); }

void catch_interrupts() {
  for (const int signal_number : kInterrupts) {
    struct sigaction current = {};
    sigaction(signal_number, nullptr, &current);
    if (current.sa_handler != SIG_IGN) handle(signal_number, on_interrupt);
  }
}

const std::atomic<bool>& interrupt_flag() noexcept { return g_interrupted; }

void end_by_caught_signal() { end_by_signal(g_signal); }

void end_by_signal(int signal_number) {
  handle(signal_number, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal_number);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal_number);
  _exit(128 + signal_number);
}

void report_truncation_of(const std::string& file, const std::string& unfinished) {
  const std::string message = "gpt2: " + printable(file, 400) + ": the file became shorter while it was in use\n";
  const size_t length = std::min(message.size(), sizeof g_truncation_message);
  memcpy(g_truncation_message, message.data(), length);
  g_truncation_length = length;
  g_unfinished[unfinished.copy(g_unfinished, sizeof g_unfinished - 1)] = '\0';
  handle(SIGBUS, on_bus_error);
}

}  // namespace gpt2
