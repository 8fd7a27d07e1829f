// The fuzz targets over mutated seeds. GPT2_FUZZ_SECONDS gives each target more time than its part of a second (make fuzz-long).
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>

#include "tests/fuzz/mutator.h"

using namespace gpt2::fuzz;

TEST_CASE("fuzz: every target accepts its seeds and survives their mutations") {
  const char* wish = std::getenv("GPT2_FUZZ_SECONDS");
  const char* only = std::getenv("GPT2_FUZZ_TARGET");
  const double seconds = wish == nullptr ? 0.3 : std::atof(wish);
  for (const Target& target : targets()) {
    if (only != nullptr && target.name != only) continue;
    for (const std::string& seed : target.seeds()) target.run(seed);
    Mutator mutator(target);
    const auto start = std::chrono::steady_clock::now();
    uint64_t rounds = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
      for (int i = 0; i < 64; ++i) target.run(mutator.input(rounds++));
      elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    CHECK(rounds >= 64);
    MESSAGE(std::string(target.name) << ": " << rounds << " executions");
  }
}
