// What the targets hold their subjects to.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "src/base/error.h"

namespace gpt2::fuzz {

// Ends the process, which is a finding, unless the condition holds.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

// Runs `action` and returns whether it came to its end; only an Error with one of the exit codes may leave it, and its
// message is one line.
template <class Action>
bool accepts(Action action, std::initializer_list<ExitCode> codes) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    bool known = false;
    for (const ExitCode code : codes) known = known || error.code() == code;
    require(known, error.what());
    for (const char* c = error.what(); *c != '\0'; ++c) {
      require(static_cast<unsigned char>(*c) >= 0x20, "a control character in a message");
    }
    return false;
  }
}

}  // namespace gpt2::fuzz
