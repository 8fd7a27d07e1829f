#include "tools/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/io/mapped_file.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

std::atomic<bool> g_interrupted = false;
std::atomic<int> g_signal = 0;
std::atomic<bool> g_second_ends = true;
char g_unfinished[4096];

static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

constexpr int kInterrupts[] = {SIGINT, SIGTERM};

void on_interrupt(int signal_number) {
  erase_progress();
  if (!g_interrupted) g_signal = signal_number;
  if (g_interrupted.exchange(true)) {  // the second one ends it at once
    if (signal_number == SIGINT && !g_second_ends) return;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
  }
}

iovec part(const char* text) { return {const_cast<char*>(text), strlen(text)}; }

// A fault outside all mapped files is none that a file explains: returning to it ends the program by SIGBUS.
void on_bus_error(int, siginfo_t* info, void*) {
  const char* file = mapped_file_at(info->si_addr);
  if (g_unfinished[0] != '\0') unlink(g_unfinished);
  if (file == nullptr) {
    signal(SIGBUS, SIG_DFL);
    return;
  }
  const iovec line[] = {part("gpt2: "), part(file), part(": the file became shorter while it was in use\n")};
  const ssize_t ignored = writev(STDERR_FILENO, line, 3);
  static_cast<void>(ignored);
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

void catch_interrupts(SecondInterrupt second) {
  g_second_ends = second == SecondInterrupt::ends;
  for (const int signal_number : kInterrupts) {
    struct sigaction current = {};
    sigaction(signal_number, nullptr, &current);
    if (current.sa_handler != SIG_IGN) handle(signal_number, on_interrupt);
  }
}

const std::atomic<bool>& interrupt_flag() noexcept { return g_interrupted; }

int caught_signal() noexcept { return g_interrupted ? g_signal.load() : 0; }

void forget_interrupt() noexcept {
  g_signal = 0;
  g_interrupted = false;
}

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

void report_truncated_files(const std::string& unfinished) {
  g_unfinished[unfinished.copy(g_unfinished, sizeof g_unfinished - 1)] = '\0';
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace gpt2
