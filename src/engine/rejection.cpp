#include "src/engine/rejection.h"

#include <algorithm>

#include "src/base/portable_math.h"

namespace gpt2 {

void append_softmax(std::span<const Candidate> candidates, std::vector<TokenProbability>& out) {
  GPT2_CHECK(!candidates.empty());
  double max = candidates[0].logit, sum = 0;
  for (const Candidate& c : candidates) max = std::max(max, double{c.logit});
  const size_t first = out.size();
  for (const Candidate& c : candidates) {
    out.push_back({c.token, portable_exp(c.logit - max)});
    sum += out.back().probability;
  }
  for (size_t i = first; i < out.size(); ++i) out[i].probability /= sum;
}

PositionNoise draft_noise(uint64_t seed, uint32_t sample, uint64_t token_index) noexcept {
  return {record_seed(seed, 0x64726166742E2E2Eu), sample, token_index};
}

double acceptance_variate(const PositionNoise& draft) noexcept {
  return (static_cast<double>(draft.bits(-1) >> 11) + 0.5) * 0x1p-53;
}

}  // namespace gpt2
