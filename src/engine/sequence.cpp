#include "src/engine/sequence.h"

#include <algorithm>

namespace gpt2 {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::running: return "running";
    case FinishReason::eos: return "eos";
    case FinishReason::length: return "length";
    case FinishReason::context: return "context";
    case FinishReason::no_token: return "no_token";
    case FinishReason::nonfinite: return "nonfinite";
  }
  return "?";
}

uint32_t Sequence::shared_with(const Sequence& other) const noexcept {
  if (dropped > 0 || other.dropped > 0) return 0;
  const uint32_t most = std::min(n_computed(), other.first_wanted());
  const auto begin = tokens.begin();
  return static_cast<uint32_t>(std::mismatch(begin, begin + most, other.tokens.begin()).first - begin);
}

void Sequence::slide() noexcept {
  const uint32_t drop = (n_known() - request.slide_keep) / 2 + 1;
  kept = request.slide_keep;
  dropped += drop;
  kv.truncate(0);
}

}  // namespace gpt2
