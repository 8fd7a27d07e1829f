// What the fuzzers call: each target takes any bytes and must return. A crash, a broken check (abort) or an exception that is no
// Error of the documented exit code is a finding. The same targets run under libFuzzer (make fuzz) and under the mutation driver
// of the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
  std::vector<std::string> (*seeds)();          // inputs that are accepted, to start from
  std::vector<std::string> (*words)();          // pieces that the format knows
};

std::span<const Target> targets();

}  // namespace gpt2::fuzz
