// Stop strings: generated text goes in token by token, what certainly precedes every stop string comes out. Matches
// bytes, so a stop string may begin inside one token and end inside another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

class StopMatcher {
 public:
  // What happens to the stop string itself.
  enum class Keep { nothing, stop };

  // No string is empty. None at all is fine: text passes through.
  StopMatcher(const std::vector<std::string>& stops, Keep keep);

  // Appends to `out` what is certain after `bytes`: all but a tail that may be the beginning of a stop string. After a
  // match nothing more comes out.
  void push(std::string_view bytes, std::string& out);
  // The text has ended without a match: what was held back is text.
  void finish(std::string& out);
  // The text begins again.
  void reset();

  bool matched() const noexcept { return matched_ != kNone; }
  // Returns the stop string that ended the text: the first to be complete; of several at the same byte the longest.
  const std::string& stop() const { return patterns_[matched_].text; }

 private:
  static constexpr size_t kNone = ~size_t{0};
  // Knuth, Morris & Pratt 1977: border[n] is the length of the longest proper border of the first n bytes.
  struct Pattern {
    std::string text;
    std::vector<uint32_t> border;
    uint32_t state = 0;  // length of the longest prefix of `text` that the text so far ends with
  };

  std::vector<Pattern> patterns_;  // longest first
  Keep keep_;
  std::string held_;
  size_t matched_ = kNone;
};

}  // namespace gpt2
