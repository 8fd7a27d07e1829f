// A mutation driver without coverage: seeds, the format's words, and the usual damage, from a counter. The same round gives the
// same input on every machine, so a finding is repeated by its number.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace gpt2::fuzz {

class Mutator {
 public:
  explicit Mutator(const Target& target) : seeds_(target.seeds()), words_(target.words()) {}

  std::string input(uint64_t round) {
    state_ = round * 0x9E3779B97F4A7C15u + 1;
    std::string text = seeds_[below(seeds_.size())];
    for (uint64_t n = 1 + below(6); n > 0; --n) mutate(text);
    return text;
  }

 private:
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  uint64_t below(uint64_t n) { return n == 0 ? 0 : (next() >> 11) % n; }

  // Most of a binary file is data that nobody reads; damage falls on its beginning half of the time.
  size_t place(const std::string& text) { return below(below(2) == 0 ? std::min<size_t>(text.size() + 1, 8192) : text.size() + 1); }

  void mutate(std::string& text) {
    static constexpr const char* kNumbers[] = {"0", "1", "-1", "127", "255", "32768", "65535", "2147483647", "2147483648", "4294967295",
                                               "4294967296", "9007199254740993", "4611686018427387904", "9223372036854775807",
                                               "9223372036854775808", "18446744073709551615", "1e999", "1.5", "\"\"", "null"};
    const size_t at = place(text);
    const size_t length = std::min<size_t>(1 + below(below(4) == 0 ? 200 : 8), text.size() - std::min(at, text.size()));
    switch (below(10)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(next() >> 20);
        break;
      case 2: text.erase(at, length); break;
      case 3: text.insert(at, text.substr(at, length)); break;
      case 4: text.insert(at, std::string(1 + below(20), static_cast<char>(next() >> 20))); break;
      case 5:
        if (!words_.empty()) text.insert(at, words_[below(words_.size())]);
        break;
      case 6: {  // a number becomes another
        const size_t digits = text.find_first_of("0123456789", at);
        if (digits == std::string::npos) break;
        const size_t end = std::min(text.find_first_not_of("0123456789.e-", digits), text.size());
        text.replace(digits, end - digits, kNumbers[below(std::size(kNumbers))]);
        break;
      }
      case 7: {  // a piece of another seed
        const std::string& other = seeds_[below(seeds_.size())];
        const size_t from = below(other.size());
        text.insert(at, other, from, 1 + below(64));
        break;
      }
      case 8:
        if (below(4) == 0) text.resize(at);
        break;
      default:
        if (!words_.empty() && at < text.size()) text.replace(at, length, words_[below(words_.size())]);
        break;
    }
  }

  std::vector<std::string> seeds_, words_;
  uint64_t state_ = 1;
};

}  // namespace gpt2::fuzz
