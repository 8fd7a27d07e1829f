// Runs forward() over a prompt the way a test wants it: any tier, threads, chunks, KV type; all rows' logits come back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "src/model/model.h"

namespace gpt2::test {

struct RunOptions {
  const KernelTable* kernels = nullptr;  // required
  uint32_t threads = 1;
  uint32_t chunk = 1u << 30;  // rows of one forward
  KvType kv_type = KvType::f32;
};

// Logits of every token, [tokens.size(), n_vocab].
std::vector<float> logits_of(const Model& model, std::span<const int32_t> tokens, const RunOptions& options);

}  // namespace gpt2::test
