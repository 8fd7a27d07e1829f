// Keys and values of the positions seen so far: a pool of blocks of 64 positions, reference counted, and per sequence
// the list of its blocks. A block holds every layer and head of its positions. Knows nothing of requests.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/layout.h"
#include "src/base/anonymous_memory.h"
#include "src/base/checked.h"
#include "src/model/config.h"

namespace gpt2 {

// Where the planes of a layer's head of keys and values stand in a block.
struct KvLayout {
  KvType type = KvType::f32;
  uint32_t n_layer = 0, n_kv_head = 0, d_pad = 0;

  KvLayout(const Config& config, KvType kv_type);
  size_t plane_bytes() const noexcept { return kv_plane_bytes(type, d_pad); }
  size_t k_offset(uint32_t layer, size_t head) const noexcept {
    return (size_t{layer} * n_kv_head + head) * 2 * plane_bytes();
  }
  size_t v_offset(uint32_t layer, size_t head) const noexcept { return k_offset(layer, head) + plane_bytes(); }
  size_t block_bytes() const noexcept { return size_t{n_layer} * n_kv_head * 2 * plane_bytes(); }
};

using BlockId = uint32_t;

// Returns how many blocks hold so many positions.
constexpr size_t blocks_of(size_t positions) noexcept { return (positions + kBlockPositions - 1) / kBlockPositions; }

class KvPool {
 public:
  // Has room for `max_blocks`; the system hands out the pages when a block is first written.
  KvPool(const KvLayout& layout, size_t max_blocks);

  const KvLayout& layout() const noexcept { return layout_; }
  size_t max_blocks() const noexcept { return references_.size(); }
  size_t free_blocks() const noexcept { return free_.size(); }

  // Returns a block with one reference. Requires free_blocks() > 0.
  BlockId allocate() noexcept;
  void retain(BlockId block) noexcept;
  void release(BlockId block) noexcept;
  uint32_t references(BlockId block) const noexcept { return references_[block]; }
  unsigned char* data(BlockId block) noexcept { return memory_.data() + block * layout_.block_bytes(); }
  // Returns whether a block that was ever handed out holds an f16 infinity (not NaN, which comes from elsewhere). False
  // for f32.
  bool overflowed() const noexcept;

 private:
  KvLayout layout_;
  AnonymousMemory memory_;
  std::vector<uint32_t> references_;
  std::vector<BlockId> free_;  // last in, first out
  size_t n_used_ = 0;          // blocks below this have been handed out
};

// One sequence's positions 0 .. length()-1. Move-only; gives its blocks back when it goes.
class KvSequence {
 public:
  // Holds at most `n_ctx` positions; the block list is sized once.
  KvSequence(KvPool& pool, uint32_t n_ctx);
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence() { truncate(0); }

  const KvLayout& layout() const noexcept { return pool_->layout(); }
  uint32_t length() const noexcept { return length_; }
  // Makes room for positions below `n` and takes them as present (their keys and values are written by the next
  // forward). Returns false and changes nothing if the pool is full. Takes blocks only when a multiple of 64 is passed.
  bool extend(uint32_t n) noexcept;
  // Returns how many blocks extend(n) would take from the pool.
  size_t blocks_to_extend(uint32_t n) const noexcept { return n <= length_ ? 0 : blocks_of(n) - ids_.size(); }
  // Takes whole blocks of computed positions as its beginning and shares them. Requires an empty sequence.
  void adopt(std::span<const BlockId> blocks) noexcept;
  // Returns another sequence with the first n positions: it shares the whole blocks and copies one that n ends inside
  // of, for which the pool has a free block.
  KvSequence fork(uint32_t n) const;
  // Cuts back to the first n positions and gives whole blocks back.
  void truncate(uint32_t n) noexcept;
  // Returns the blocks' addresses in order, valid until the next extend or truncate.
  std::span<unsigned char* const> blocks() const noexcept { return pointers_; }
  std::span<const BlockId> block_ids() const noexcept { return ids_; }

 private:
  KvPool* pool_;
  uint32_t length_ = 0;
  std::vector<BlockId> ids_;
  std::vector<unsigned char*> pointers_;
};

}  // namespace gpt2
