#include "src/text/added_tokens.h"

#include <algorithm>
#include <numeric>

#include "src/text/split.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

struct Start {
  size_t at = 0;
  uint32_t token = 0;
};

CodePoint last_char(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length) {
    const CodePoint c = decode_utf8(text.substr(text.size() - length));
    if (c.valid && c.length == length) return c;
  }
  return {};
}

bool ends_with_word(std::string_view text) {
  const CodePoint c = last_char(text);
  return c.valid && is_word_char(c.value);
}

bool starts_with_word(std::string_view text) {
  const CodePoint c = decode_utf8(text);
  return c.valid && is_word_char(c.value);
}

bool is_space(const CodePoint& c) { return c.valid && char_class(c.value) == CharClass::space; }

// White space around matches, each byte looked at a bounded number of times.
class Spaces {
 public:
  Spaces(std::string_view text, uint64_t& steps) : text_(text), steps_(steps) {}

  // Where the white space before `at` begins, not before `least`.
  size_t begin_before(size_t at, size_t least) {
    while (at > least) {
      const CodePoint c = last_char(text_.substr(least, at - least));
      ++steps_;
      if (!is_space(c)) break;
      at -= c.length;
    }
    return at;
  }

  // Where the white space from `at` on ends. Matches inside a run that was measured before end where it ended.
  size_t end_after(size_t at) {
    if (at >= run_begin_ && at <= run_end_) return run_end_;
    run_begin_ = run_end_ = at;
    for (CodePoint c = decode_utf8(text_.substr(run_end_)); is_space(c); c = decode_utf8(text_.substr(run_end_))) {
      run_end_ += c.length;
      ++steps_;
    }
    return run_end_;
  }

 private:
  std::string_view text_;
  uint64_t& steps_;
  size_t run_begin_ = 1, run_end_ = 0;
};

}  // namespace

AddedTokens::AddedTokens(std::span<const AddedText> tokens) : AddedTokens() {
  for (const AddedText& token : tokens) {
    if (!token.text.empty()) insert(token);
  }
  link();
}

uint32_t AddedTokens::child(uint32_t node, unsigned char byte) const {
  if (node == 0) return roots_[byte];
  const auto found = edges_.find(uint64_t{node} << 8 | byte);
  return found == edges_.end() ? 0 : found->second;
}

void AddedTokens::insert(const AddedText& token) {
  uint32_t node = 0;
  for (size_t i = token.text.size(); i-- > 0;) {
    const auto byte = static_cast<unsigned char>(token.text[i]);
    uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({node, 0, nodes_[node].depth + 1, 0, byte});
      if (node == 0) {
        roots_[byte] = next;
      } else {
        edges_.emplace(uint64_t{node} << 8 | byte, next);
      }
    }
    node = next;
  }
  if (nodes_[node].token != 0) return;
  tokens_.push_back({token.id, token.flags, token.text.size()});
  nodes_[node].token = static_cast<uint32_t>(tokens_.size());
  if ((token.flags & kAddedSpecial) == 0) any_ordinary_ = true;
}

// Suffix links by depth: a node's leads to one less deep, whose own is known by then.
void AddedTokens::link() {
  std::vector<uint32_t> order(nodes_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return nodes_[a].depth < nodes_[b].depth; });
  uint64_t steps = 0;
  for (const uint32_t i : order) {
    Node& node = nodes_[i];
    if (node.depth > 1) node.fail = step(nodes_[node.parent].fail, node.byte, steps);
    if (node.token == 0) node.token = nodes_[node.fail].token;
  }
}

uint32_t AddedTokens::step(uint32_t node, unsigned char byte, uint64_t& steps) const {
  for (++steps; node != 0; node = nodes_[node].fail, ++steps) {
    if (const uint32_t next = child(node, byte); next != 0) return next;
  }
  return roots_[byte];
}

AddedTokens::Found AddedTokens::find(std::string_view text, Specials specials) const {
  Found found;
  std::vector<Start> starts;  // last first
  uint32_t node = 0;
  for (size_t i = text.size(); i-- > 0;) {
    node = step(node, static_cast<unsigned char>(text[i]), found.steps);
    if (nodes_[node].token != 0) starts.push_back({i, nodes_[node].token - 1});
  }
  Spaces spaces(text, found.steps);
  size_t free = 0, taken = 0;  // where the next match may begin; where the last one ended with its white space
  for (auto start = starts.rbegin(); start != starts.rend(); ++start) {
    if (start->at < free) continue;
    const Token& token = tokens_[start->token];
    Match match = {start->at, start->at + token.length, token.id};
    free = match.end;
    if (specials == Specials::as_text && (token.flags & kAddedSpecial) != 0) continue;
    if ((token.flags & kAddedSingleWord) != 0 &&
        (ends_with_word(text.substr(0, match.begin)) || starts_with_word(text.substr(match.end)))) {
      continue;
    }
    if ((token.flags & kAddedLstrip) != 0) {
      match.begin = std::max(spaces.begin_before(match.begin, std::min(taken, match.begin)), taken);
    }
    if ((token.flags & kAddedRstrip) != 0) match.end = spaces.end_after(match.end);
    if (match.begin >= match.end) continue;  // white space that is taken already (past its end `tokenizers` panics)
    taken = match.end;
    found.matches.push_back(match);
  }
  return found;
}

}  // namespace gpt2
