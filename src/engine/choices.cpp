#include "src/engine/choices.h"

#include <algorithm>

namespace gpt2 {

Choices::Choices(const Model& model) : end_(model.weights().n_choices) {
  if (!model.weights().draft_ids.empty()) return;  // its rows are tokens that a text had
  const std::span<const uint32_t> offsets = model.file().tokenizer.offsets;
  for (uint32_t id = 0; id < end_; ++id) {
    const bool has_token = id + 1 < offsets.size() && offsets[id] != offsets[id + 1];
    if (!has_token && !model.is_eos(static_cast<TokenId>(id))) holes_.push_back(static_cast<int32_t>(id));
  }
}

bool Choices::contains(int32_t id) const noexcept {
  return id >= 0 && static_cast<uint32_t>(id) < end_ &&
         (holes_.empty() || !std::binary_search(holes_.begin(), holes_.end(), id));
}

}  // namespace gpt2
