// Help, printed from the tables of commands and options.
#pragma once

#include <string>

#include "tools/commands.h"

namespace gpt2 {

// Of a command: the options with a short name and the examples; or everything.
std::string short_help(Command& command);
std::string full_help(Command& command);

// Of the program.
std::string short_overview();
std::string full_overview();

}  // namespace gpt2
