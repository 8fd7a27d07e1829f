// The heart of BPE: the symbols of one piece of text, merged pair by pair as the tables say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/text/tokenizer.h"

namespace gpt2 {

// A linked list of symbols, and a heap of the pairs that may merge, lowest rank first and leftmost among equals. Each
// merge removes a symbol and adds at most two pairs: O(n log n). One object serves piece after piece.
class Merger {
 public:
  // Keeps views of both.
  Merger(const TokenizerTables& tables, const std::string& file)
      : tables_(tables), file_(file), n_tokens_(tables.offsets.size() - 1) {}

  // Replaces out[first, end) by the merged ids. Throws Error (exit 3) where the tables lie.
  void merge(std::vector<TokenId>& out, size_t first);

 private:
  static constexpr uint32_t kEnd = 0xFFFFFFFFu;
  struct Symbol {
    uint32_t id, previous, next;  // id is kNoToken once merged into its left neighbour
  };
  struct Pair {
    uint32_t rank, at, left, right, result;
    bool operator>(const Pair& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
  };

  void push_pair(uint32_t at);
  const MergeSlot* find(uint32_t left, uint32_t right) const;
  void apply(const Pair& pair);
  bool is_unused(uint32_t id) const;
  uint32_t length_of(uint32_t id) const;
  void push_used(uint32_t id, size_t first, std::vector<TokenId>& out) const;
  void push_known(uint32_t id, size_t first, std::vector<TokenId>& out) const;
  void push_without_token(uint32_t id, size_t first, std::vector<TokenId>& out) const;

  const TokenizerTables& tables_;
  const std::string& file_;
  size_t n_tokens_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs_;
  std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> parts_;  // of unused tokens
};

}  // namespace gpt2
