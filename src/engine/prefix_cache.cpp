#include "src/engine/prefix_cache.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {

PrefixCache::Key PrefixCache::key_of(std::span<const int32_t> tokens, size_t block) {
  Key key;
  std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(block * kBlockPositions), kBlockPositions, key.begin());
  return key;
}

void PrefixCache::touch(Node& node) {
  by_age_.erase(node.used);
  node.used = ++clock_;
  by_age_[node.used] = &node;
}

std::span<const BlockId> PrefixCache::find(std::span<const int32_t> tokens) {
  found_.clear();
  const size_t most = tokens.size() / kBlockPositions;
  std::vector<Node*> path;
  for (Node* node = &root_; found_.size() < most;) {
    const auto child = node->children.find(key_of(tokens, found_.size()));
    if (child == node->children.end()) break;
    node = child->second.get();
    path.push_back(node);
    found_.push_back(node->block);
  }
  for (auto node = path.rbegin(); node != path.rend(); ++node) touch(**node);
  return found_;
}

void PrefixCache::publish(std::span<const int32_t> tokens, std::span<const BlockId> blocks) {
  const size_t n = std::min(tokens.size() / kBlockPositions, blocks.size());
  std::vector<Node*> path;
  Node* node = &root_;
  for (size_t i = 0; i < n; ++i) {
    std::unique_ptr<Node>& child = node->children[key_of(tokens, i)];
    if (child == nullptr) {
      child = std::make_unique<Node>();
      child->parent = node;
      child->block = blocks[i];
      pool_.retain(blocks[i]);
      ++size_;
    }
    node = child.get();
    path.push_back(node);
  }
  for (auto used = path.rbegin(); used != path.rend(); ++used) touch(**used);
}

bool PrefixCache::evict() {
  for (const auto& [used, node] : by_age_) {
    if (!node->children.empty() || pool_.references(node->block) > 1) continue;
    remove(*node);
    return true;
  }
  return false;
}

void PrefixCache::remove(Node& leaf) {
  GPT2_CHECK(leaf.children.empty());
  pool_.release(leaf.block);
  by_age_.erase(leaf.used);
  --size_;
  auto& siblings = leaf.parent->children;
  siblings.erase(
      std::find_if(siblings.begin(), siblings.end(), [&](const auto& item) { return item.second.get() == &leaf; }));
}

void PrefixCache::clear() {
  for (const auto& [used, node] : by_age_) pool_.release(node->block);
  by_age_.clear();
  root_.children.clear();
  size_ = 0;
}

size_t PrefixCache::unused() const noexcept {
  size_t n = 0;
  for (const auto& [used, node] : by_age_) node->kept = false;
  // By age, so that children come before their parents.
  for (const auto& [used, node] : by_age_) {
    node->kept = node->kept || pool_.references(node->block) > 1;
    if (node->kept) node->parent->kept = true;
    n += node->kept ? 0 : 1;
  }
  return n;
}

}  // namespace gpt2
