#include "tests/runner.h"

#include <algorithm>

#include "src/model/forward.h"

namespace gpt2::test {

std::vector<float> logits_of(const Model& model, std::span<const int32_t> tokens, const RunOptions& options) {
  const Config& config = model.config();
  const KvLayout layout(config, options.kv_type);
  KvPool pool(layout, (config.n_ctx + kBlockPositions - 1) / kBlockPositions);
  KvSequence sequence(pool, config.n_ctx);
  KvSequence* const pointer = &sequence;
  ThreadTeam team(options.threads);
  const auto chunk = static_cast<uint32_t>(std::min<size_t>(options.chunk, tokens.size()));
  Workspace workspace(config, chunk, chunk, options.threads);
  std::vector<float> all;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const size_t end = std::min<size_t>(tokens.size(), begin + chunk);
    GPT2_CHECK(sequence.extend(static_cast<uint32_t>(end)));
    std::vector<Row> rows;
    for (size_t i = begin; i < end; ++i) rows.push_back({0, static_cast<uint32_t>(i), tokens[i], Wants::logits});
    const ForwardResult result =
        forward(config, model.weights(), {rows, {&pointer, 1}}, workspace, {*options.kernels, team});
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = result.logits.row(i);
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return all;
}

}  // namespace gpt2::test
