// What the program says beside its output, and where: notes go to stderr, and only to a person.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gpt2 {

bool is_terminal(int fd) noexcept;
// Returns whether it is a terminal whose user has not forbidden colours by $NO_COLOR (https://no-color.org) or
// TERM=dumb.
bool shows_colors(int fd) noexcept;
// Returns the columns of the terminal behind a descriptor; 80 if it does not say or is none.
uint32_t terminal_width(int fd) noexcept;

enum class Verbosity { normal, verbose, quiet };

// Returns whether to show notes: on a terminal, or where -v asks for them.
bool shows_notes(Verbosity verbosity) noexcept;
// Says whether a line of progress stands on stderr. It is taken off before a message, and when a signal ends the
// program.
void set_progress_drawn(bool drawn) noexcept;
// Takes the line of progress off; a signal handler may call it.
void erase_progress() noexcept;
// Writes to stderr; a failure is ignored, as there is no place left to report it.
void write_stderr(std::string_view text) noexcept;
// Writes one line to stderr: "gpt2: MESSAGE".
void say(std::string_view message);

// Returns `text` (valid UTF-8) with control characters other than newline and tab as \xNN: shown, not executed.
std::string without_controls(std::string_view text);

}  // namespace gpt2
