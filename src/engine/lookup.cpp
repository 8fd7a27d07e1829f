#include "src/engine/lookup.h"

#include <algorithm>
#include <bit>

#include "src/base/error.h"

namespace gpt2 {

SuffixLookup::SuffixLookup(uint32_t capacity) : capacity_(capacity) {
  GPT2_CHECK(capacity >= 2 && capacity <= 1u << 24);
  text_.reserve(capacity);
  states_.reserve(2 * size_t{capacity} + 1);
  edges_.reserve(3 * size_t{capacity} + 1);
  table_.resize(std::bit_ceil(4 * size_t{capacity} + 2));
  clear();
}

void SuffixLookup::clear() {
  states_.assign(1, State{});
  edges_.clear();
  std::fill(table_.begin(), table_.end(), -1);
  whole_ = 0;
  match_length_ = 0;
}

void SuffixLookup::follow(std::span<const int32_t> text) {
  const size_t known = first_ + text_.size();
  if (text.size() < known || !std::equal(text_.begin(), text_.end(), text.begin() + static_cast<ptrdiff_t>(first_))) {
    clear();
    text_.clear();
    // Where it would be had it followed the text from its beginning: what it proposes depends on the text alone.
    const size_t half = capacity_ / 2;
    first_ = text.size() > capacity_ ? (text.size() - capacity_ + half - 1) / half * half : 0;
  }
  for (size_t i = first_ + text_.size(); i < text.size(); ++i) {
    if (text_.size() == capacity_) forget_half();
    text_.push_back(text[i]);
    append(text[i]);
  }
}

void SuffixLookup::forget_half() {
  const size_t n = capacity_ / 2;
  text_.erase(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(n));
  first_ += n;
  clear();
  for (const int32_t token : text_) append(token);
}

void SuffixLookup::continuation(std::span<int32_t> out) const {
  GPT2_CHECK(match_length_ > 0);
  const size_t period = text_.size() - match_end_;
  for (size_t i = 0; i < out.size(); ++i) out[i] = text_[match_end_ + i % period];
}

// One step of the online construction. Afterwards the link of the whole text's state is the longest suffix that has
// occurred before, and that state's `end` is where.
void SuffixLookup::append(int32_t token) {
  const int32_t length = states_[static_cast<size_t>(whole_)].length + 1;
  const int32_t added = add_state(length, length - 1);
  int32_t from = whole_;
  for (; from >= 0 && find_edge(from, token) < 0; from = states_[static_cast<size_t>(from)].link) {
    add_edge(from, token, added);
  }
  int32_t link = 0;
  if (from >= 0) {
    link = edges_[static_cast<size_t>(find_edge(from, token))].target;
    if (states_[static_cast<size_t>(link)].length != states_[static_cast<size_t>(from)].length + 1) {
      link = split(from, token, link);
    }
  }
  states_[static_cast<size_t>(added)].link = link;
  whole_ = added;
  State& match = states_[static_cast<size_t>(link)];
  match_length_ = static_cast<uint32_t>(match.length);
  match_end_ = static_cast<size_t>(match.end) + 1;
  match.end = length - 1;  // the next time, what followed here: the latest text is the likeliest
}

// The strings of `target` that are reached through `from` get a state of their own: they have occurred once more.
int32_t SuffixLookup::split(int32_t from, int32_t token, int32_t target) {
  const State whole = states_[static_cast<size_t>(target)];
  const int32_t part = add_state(states_[static_cast<size_t>(from)].length + 1, whole.end);
  states_[static_cast<size_t>(part)].link = whole.link;
  for (int32_t e = whole.first_edge; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
    add_edge(part, edges_[static_cast<size_t>(e)].token, edges_[static_cast<size_t>(e)].target);
  }
  states_[static_cast<size_t>(target)].link = part;
  for (; from >= 0; from = states_[static_cast<size_t>(from)].link) {
    const int32_t edge = find_edge(from, token);
    if (edge < 0 || edges_[static_cast<size_t>(edge)].target != target) break;
    edges_[static_cast<size_t>(edge)].target = part;
  }
  return part;
}

int32_t SuffixLookup::add_state(int32_t length, int32_t end) {
  GPT2_CHECK(states_.size() < states_.capacity());
  states_.push_back({length, -1, end, -1});
  return static_cast<int32_t>(states_.size()) - 1;
}

void SuffixLookup::add_edge(int32_t from, int32_t token, int32_t target) {
  GPT2_CHECK(edges_.size() < edges_.capacity());
  State& state = states_[static_cast<size_t>(from)];
  const auto edge = static_cast<int32_t>(edges_.size());
  edges_.push_back({from, token, target, state.first_edge});
  state.first_edge = edge;
  table_[slot_of(from, token)] = edge;
}

int32_t SuffixLookup::find_edge(int32_t from, int32_t token) const noexcept { return table_[slot_of(from, token)]; }

// Where (from, token) stands, or the free slot where it would. The table is never full: 4 slots for at most 3 edges.
size_t SuffixLookup::slot_of(int32_t from, int32_t token) const noexcept {
  const uint64_t key = uint64_t{static_cast<uint32_t>(from)} << 32 | static_cast<uint32_t>(token);
  const size_t mask = table_.size() - 1;
  size_t slot = static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 32) & mask;
  while (table_[slot] >= 0) {
    const Edge& edge = edges_[static_cast<size_t>(table_[slot])];
    if (edge.from == from && edge.token == token) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

}  // namespace gpt2
