#include "tools/prompt_logprobs.h"

#include <algorithm>

namespace gpt2 {

std::vector<TokenScore> prompt_logprobs(const Engine& engine, const RequestArguments& arguments,
                                        std::span<const int32_t> prompt) {
  if (!arguments.logprobs || arguments.max_new_tokens > 0) return {};
  EvalOptions options;
  options.kernels = engine.options().kernels;
  options.threads = engine.options().threads;
  options.kv_type = engine.options().kv_type;
  options.window = std::max(static_cast<uint32_t>(prompt.size()), 2u);
  return score_tokens(engine.model(), prompt, *arguments.logprobs, options);
}

}  // namespace gpt2
