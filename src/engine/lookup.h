// Look-up drafts: what followed the longest earlier occurrence of the text's last tokens is proposed again. A suffix
// automaton (Blumer et al. 1985) over the text, so a token costs O(1) amortised whatever the length of the match. Knows
// no model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gpt2 {

class SuffixLookup {
 public:
  // Remembers the text's last tokens, between capacity / 2 and capacity (>= 2) of them; memory is taken once.
  explicit SuffixLookup(uint32_t capacity);

  // Makes `text` the text: what is new is appended; a text that is no continuation of the last one (cut back, another
  // sample) is read anew. Comparing the two is one pass over at most `capacity` tokens.
  void follow(std::span<const int32_t> text);

  // Returns the number of last tokens that occurred before; 0: not even the last one did.
  uint32_t match_length() const noexcept { return match_length_; }
  // Writes what followed that occurrence, a period again and again where it runs into the end of the text. Requires a
  // match.
  void continuation(std::span<int32_t> out) const;

 private:
  // A class of substrings that end at the same places. The longest has `length` tokens, the next shorter class is
  // `link`'s.
  struct State {
    int32_t length = 0, link = -1;
    int32_t end = 0;         // where one of its occurrences ends: index of the last token
    int32_t first_edge = -1;
  };
  struct Edge {
    int32_t from, token, target, next;  // next: of the same state
  };

  void clear();
  void forget_half();
  void append(int32_t token);
  int32_t add_state(int32_t length, int32_t end);
  void add_edge(int32_t from, int32_t token, int32_t target);
  int32_t find_edge(int32_t from, int32_t token) const noexcept;  // -1: none
  int32_t split(int32_t from, int32_t token, int32_t target);
  size_t slot_of(int32_t from, int32_t token) const noexcept;

  uint32_t capacity_;
  size_t first_ = 0;            // index of the first token that is remembered
  std::vector<int32_t> text_;   // from there on
  std::vector<State> states_;   // at most 2 capacity; 0: the empty string
  std::vector<Edge> edges_;     // at most 3 capacity
  std::vector<int32_t> table_;  // open addressing: edge of (state, token), -1: free
  int32_t whole_ = 0;           // the state of the whole text
  uint32_t match_length_ = 0;
  size_t match_end_ = 0;        // index in text_ after the earlier occurrence
};

}  // namespace gpt2
