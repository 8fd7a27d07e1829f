// Help, printed from the tables of commands and options.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/commands.h"

namespace gpt2 {

struct NamedText {
  std::string_view name, text;
};
std::span<const NamedText> environment_table();
std::span<const NamedText> exit_status_table();
std::span<const NamedText> program_options();  // of gpt2 itself
std::string_view program_examples();

// Return the help of a command: the options with a short name and the examples; or everything.
std::string short_help(Command& command);
std::string full_help(Command& command);

// Appends a name and, from `column` on, its text, wrapped at the width of help; a narrow terminal has the text under
// the name.
void append_wrapped_row(std::string& out, const std::string& name, size_t column, std::string_view text);

// Throws Error (exit 2) where a command has nothing to work on: `message`, the usage and where more help is.
[[noreturn]] void fail_no_input(Command& command, std::string_view message);

// Return the help of the program.
std::string short_overview();
std::string full_overview();

}  // namespace gpt2
