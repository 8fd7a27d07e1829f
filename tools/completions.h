// Completions for shells, printed from the tables of commands and options.
#pragma once

#include <string>

namespace gpt2 {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace gpt2
