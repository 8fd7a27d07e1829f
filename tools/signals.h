// Signals: the first SIGINT or SIGTERM asks the program to stop at the next good moment, the second ends it at once.
// Handlers can only reach globals, so the flags are two; they stay in signals.cpp.
#pragma once

#include <atomic>
#include <string>

namespace gpt2 {

// Thrown where work stops because of a signal; main ends the program by that signal.
struct Interrupted {};

// A file that reaches the shell's size limit makes write fail; it does not end the program.
void ignore_file_size_signal();

// Makes SIGINT and SIGTERM only set the flag, once. A signal that is ignored stays ignored. `second`: whether another
// SIGINT ends the program or, as long as the first was not forgotten, is no news.
enum class SecondInterrupt { ends, is_ignored };
void catch_interrupts(SecondInterrupt second = SecondInterrupt::ends);
const std::atomic<bool>& interrupt_flag() noexcept;
// Returns the signal that set the flag; 0: none.
int caught_signal() noexcept;
// Takes the flag back: what the signal was to stop has stopped.
void forget_interrupt() noexcept;

// Ends the program by the signal that was caught, so that the caller sees 130 or 143.
[[noreturn]] void end_by_caught_signal();
// Ends the program by this signal's default action.
[[noreturn]] void end_by_signal(int signal);

// A read from a mapped file that has become shorter raises SIGBUS: from here on that is exit 3 with a line that names
// the file in which the address lies. `unfinished`, a file that would be left behind, is removed.
void report_truncated_files(const std::string& unfinished = "");

}  // namespace gpt2
