// Which ids a text may go on with: those that the tokenizer has a token for, and those that end it. The other rows of
// a padded vocabulary keep their logits and their share of the softmax, as in transformers, but have no text and are
// never chosen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/model/model.h"

namespace gpt2 {

class Choices {
 public:
  // All ids below n.
  explicit Choices(uint32_t n) : end_(n) {}
  explicit Choices(const Model& model);

  uint32_t end() const noexcept { return end_; }                             // every choice is below it
  std::span<const int32_t> holes() const noexcept { return holes_; }         // ids below it that are none, ascending
  uint32_t size() const noexcept { return end_ - static_cast<uint32_t>(holes_.size()); }
  bool contains(int32_t id) const noexcept;

 private:
  uint32_t end_;
  std::vector<int32_t> holes_;
};

}  // namespace gpt2
