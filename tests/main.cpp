// The unit tests' entry.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdio>
#include <set>
#include <string>

#include "tests/support.h"

namespace gpt2::test {

void skip(const char* why) {
  static std::set<std::string> said;  // once a test and reason
  const std::string line = std::string("skip ") + doctest::getContextOptions()->currentTest->m_name + ": " + why;
  if (!said.insert(line).second) return;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace gpt2::test
