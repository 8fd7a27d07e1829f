#include "src/model/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/error.h"

namespace gpt2 {
namespace {

// Blocks of this size waste little of large pages, and a step of 16 to 32 sequences, each elsewhere in the pool, is 8 %
// faster.
constexpr size_t kHugeBlock = size_t{1} << 20;

}  // namespace

KvLayout::KvLayout(const Config& config, KvType kv_type)
    : type(kv_type),
      n_layer(config.n_layer),
      n_kv_head(config.n_kv_head),
      d_pad(config.d_pad()) {}

KvPool::KvPool(const KvLayout& layout, size_t max_blocks)
    : layout_(layout), references_(max_blocks, 0) {
  const auto bytes = checked_mul(max_blocks, layout.block_bytes());
  GPT2_CHECK(max_blocks < UINT32_MAX && bytes);
  memory_ = AnonymousMemory(*bytes);
  if (layout.block_bytes() >= kHugeBlock) memory_.prefer_huge_pages();
  free_.reserve(max_blocks);
  for (size_t i = max_blocks; i > 0; --i) free_.push_back(static_cast<BlockId>(i - 1));
}

BlockId KvPool::allocate() noexcept {
  GPT2_CHECK(!free_.empty());
  const BlockId block = free_.back();
  free_.pop_back();
  references_[block] = 1;
  n_used_ = std::max(n_used_, size_t{block} + 1);
  return block;
}

bool KvPool::overflowed() const noexcept {
  if (layout_.type != KvType::f16) return false;
  constexpr uint16_t kMagnitude = 0x7FFF, kInfinity = 0x7C00;
  const size_t end = n_used_ * layout_.block_bytes();
  for (size_t at = 0; at < end; at += sizeof(uint16_t)) {
    uint16_t value = 0;
    std::memcpy(&value, memory_.data() + at, sizeof value);
    if ((value & kMagnitude) == kInfinity) return true;
  }
  return false;
}

void KvPool::retain(BlockId block) noexcept {
  GPT2_CHECK(references_[block] > 0);
  ++references_[block];
}

void KvPool::release(BlockId block) noexcept {
  GPT2_CHECK(references_[block] > 0);
  if (--references_[block] == 0) free_.push_back(block);
}

KvSequence::KvSequence(KvPool& pool, uint32_t n_ctx) : pool_(&pool) {
  ids_.reserve(blocks_of(n_ctx));
  pointers_.reserve(ids_.capacity());
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      length_(std::exchange(other.length_, 0)),
      ids_(std::move(other.ids_)),
      pointers_(std::move(other.pointers_)) {
  other.ids_.clear();
  other.pointers_.clear();
}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(length_, other.length_);
  std::swap(ids_, other.ids_);
  std::swap(pointers_, other.pointers_);
  return *this;
}

bool KvSequence::extend(uint32_t n) noexcept {
  const size_t needed = blocks_of(n);
  GPT2_CHECK(needed <= ids_.capacity());
  if (n <= length_) return true;
  if (needed - ids_.size() > pool_->free_blocks()) return false;
  // A block that is shared is whole, and never written again.
  GPT2_CHECK(length_ % kBlockPositions == 0 || pool_->references(ids_.back()) == 1);
  while (ids_.size() < needed) {
    ids_.push_back(pool_->allocate());
    pointers_.push_back(pool_->data(ids_.back()));
  }
  length_ = n;
  return true;
}

void KvSequence::adopt(std::span<const BlockId> blocks) noexcept {
  GPT2_CHECK(ids_.empty() && blocks.size() <= ids_.capacity());
  for (const BlockId block : blocks) {
    pool_->retain(block);
    ids_.push_back(block);
    pointers_.push_back(pool_->data(block));
  }
  length_ = static_cast<uint32_t>(blocks.size() * kBlockPositions);
}

KvSequence KvSequence::fork(uint32_t n) const {
  GPT2_CHECK(n <= length_);
  KvSequence copy(*pool_, static_cast<uint32_t>(ids_.capacity() * kBlockPositions));
  const size_t whole = n / kBlockPositions;
  copy.adopt(std::span(ids_).first(whole));
  if (n % kBlockPositions == 0) return copy;
  const bool extended = copy.extend(n);
  GPT2_CHECK(extended);
  std::memcpy(copy.pointers_.back(), pointers_[whole], pool_->layout().block_bytes());
  return copy;
}

void KvSequence::truncate(uint32_t n) noexcept {
  if (n < length_) length_ = n;
  const size_t needed = blocks_of(length_);
  while (ids_.size() > needed) {
    pool_->release(ids_.back());
    ids_.pop_back();
    pointers_.pop_back();
  }
}

}  // namespace gpt2
