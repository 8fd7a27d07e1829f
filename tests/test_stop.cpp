// Stop strings: whatever the pieces in which the text arrives, the same text comes out, and nothing that may still be a stop.
#include <doctest/doctest.h>

#include "src/engine/stop.h"

using namespace gpt2;

namespace {

using Stops = std::vector<std::string>;

// The first stop to end, the longest of those; by brute force.
std::string reference(const std::string& text, const Stops& stops, StopMatcher::Keep keep, std::string* found) {
  for (size_t end = 1; end <= text.size(); ++end) {
    const std::string* longest = nullptr;
    for (const std::string& stop : stops) {
      const bool here = end >= stop.size() && text.compare(end - stop.size(), stop.size(), stop) == 0;
      if (here && (longest == nullptr || stop.size() > longest->size())) longest = &stop;
    }
    if (longest == nullptr) continue;
    *found = *longest;
    return text.substr(0, keep == StopMatcher::Keep::stop ? end : end - longest->size());
  }
  found->clear();
  return text;
}

// Feeds pieces of `step` bytes; checks at each moment that what is out is a beginning of the final text.
std::string fed(const std::string& text, const Stops& stops, StopMatcher::Keep keep, size_t step, std::string* found) {
  StopMatcher matcher(stops, keep);
  std::string out;
  for (size_t i = 0; i < text.size() && !matcher.matched(); i += step) {
    matcher.push(std::string_view(text).substr(i, step), out);
    std::string unused;
    const std::string final = reference(text, stops, keep, &unused);
    REQUIRE(final.compare(0, out.size(), out) == 0);
  }
  *found = matcher.matched() ? matcher.stop() : "";
  if (!matcher.matched()) matcher.finish(out);
  return out;
}

}  // namespace

TEST_CASE("stop: text is cut before the stop string, across any pieces") {
  std::string found;
  CHECK(fed("one two three", {"two"}, StopMatcher::Keep::nothing, 1, &found) == "one ");
  CHECK(found == "two");
  CHECK(fed("one two three", {"two"}, StopMatcher::Keep::nothing, 100, &found) == "one ");
  CHECK(fed("one two three", {"two"}, StopMatcher::Keep::stop, 5, &found) == "one two");
  CHECK(fed("one two three", {"four"}, StopMatcher::Keep::nothing, 2, &found) == "one two three");
  CHECK(fed("aab", {"ab", "aab"}, StopMatcher::Keep::nothing, 1, &found) == "");
  CHECK(found == "aab");
  CHECK(fed("", {"x"}, StopMatcher::Keep::nothing, 1, &found) == "");
  CHECK(fed("any", {}, StopMatcher::Keep::nothing, 1, &found) == "any");
}

TEST_CASE("stop: what may still become a stop is held back, what cannot is not") {
  StopMatcher matcher({"\n\n", "\nEND"}, StopMatcher::Keep::nothing);
  std::string out;
  matcher.push("a\n", out);
  CHECK(out == "a");
  matcher.push("EN", out);
  CHECK(out == "a");
  matcher.push("x", out);
  CHECK(out == "a\nENx");
  matcher.push("\n", out);
  matcher.push("\n after", out);
  CHECK(out == "a\nENx");
  REQUIRE(matcher.matched());
  CHECK(matcher.stop() == "\n\n");
  matcher.push("more", out);
  CHECK(out == "a\nENx");
  matcher.reset();
  out.clear();
  matcher.push("z", out);
  CHECK(out == "z");
}

TEST_CASE("stop: equals a search by brute force over random texts, stops and pieces") {
  uint64_t state = 1;
  const auto next = [&](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  size_t matches = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t i = next(24); i > 0; --i) text += "ab\xC3"[next(3)];
    Stops stops;
    for (uint64_t i = next(4); i > 0; --i) {
      std::string stop;
      for (uint64_t n = 1 + next(5); n > 0; --n) stop += "ab\xC3"[next(3)];
      stops.push_back(stop);
    }
    const auto keep = next(2) == 0 ? StopMatcher::Keep::nothing : StopMatcher::Keep::stop;
    std::string expected_stop, stop;
    const std::string expected = reference(text, stops, keep, &expected_stop);
    REQUIRE(fed(text, stops, keep, 1 + next(6), &stop) == expected);
    REQUIRE(stop == expected_stop);
    matches += stop.empty() ? 0 : 1;
  }
  CHECK(matches > 5000);
}
