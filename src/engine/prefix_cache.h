// Blocks of computed positions, found again by the tokens they were computed from: a tree whose nodes are blocks of 64
// positions below the 64 positions before them. A prompt that begins like an earlier one computes only the rest, with
// the same bits, because keys and values depend on the tokens up to their position and on nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "src/model/kv_cache.h"

namespace gpt2 {

class PrefixCache {
 public:
  // Holds references to blocks of `pool`, which outlives it.
  explicit PrefixCache(KvPool& pool) : pool_(pool) {}
  PrefixCache(const PrefixCache&) = delete;
  ~PrefixCache() { clear(); }

  // Returns the whole blocks of the longest known beginning of `tokens`, valid until the next call; the caller takes
  // references of its own.
  std::span<const BlockId> find(std::span<const int32_t> tokens);
  // Remembers the whole blocks of computed tokens: blocks[i] holds positions 64 i .. 64 i + 63 of `tokens`. A beginning
  // that is known already keeps the blocks it has.
  void publish(std::span<const int32_t> tokens, std::span<const BlockId> blocks);
  // Gives back the block that was used longest ago, of those that nothing was computed behind and no sequence holds.
  // Returns false if there is none.
  bool evict();
  void clear();

  size_t size() const noexcept { return size_; }  // blocks held
  // Returns how many blocks evict() can give back, one after the other: those that no sequence holds, nor any block
  // behind them.
  size_t unused() const noexcept;

 private:
  using Key = std::array<int32_t, kBlockPositions>;
  struct Node {
    Node* parent = nullptr;
    BlockId block = 0;
    uint64_t used = 0;  // when, by clock_
    bool kept = false;  // for unused(): a sequence holds it or a block behind it
    std::map<Key, std::unique_ptr<Node>> children;
  };

  static Key key_of(std::span<const int32_t> tokens, size_t block);
  void touch(Node& node);
  void remove(Node& leaf);

  KvPool& pool_;
  Node root_;
  uint64_t clock_ = 0;
  size_t size_ = 0;
  std::map<uint64_t, Node*> by_age_;  // every node by `used`; parents are at least as young as their children
  std::vector<BlockId> found_;
};

}  // namespace gpt2
