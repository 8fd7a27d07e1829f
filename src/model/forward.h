// All the arithmetic of the model behind one function: prefill, decode, verification of drafts and mixed batches are
// the same call with other rows.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "src/base/matrix_view.h"
#include "src/base/thread_team.h"
#include "src/model/config.h"
#include "src/model/kv_cache.h"
#include "src/model/weights.h"
#include "src/model/workspace.h"

namespace gpt2 {

// What a row wants of its logits; the arg-max comes with either.
enum class Wants : uint8_t { nothing, argmax, logits };

// One token of one sequence. Rows of a sequence stand together, positions ascending by one; its cache is already
// extended past the last of them, and everything before the first has been computed.
struct Row {
  uint32_t sequence = 0;  // index into the batch's sequences
  uint32_t position = 0;  // below n_ctx
  int32_t token = 0;      // below n_vocab
  Wants wants = Wants::nothing;
};

// What one call computes: rows, and the caches of the sequences that they belong to, all of one pool.
struct Batch {
  std::span<const Row> rows;
  std::span<KvSequence* const> sequences;
};

// What computes it.
struct Machine {
  const KernelTable& kernels;
  ThreadTeam& team;
};

struct ForwardResult {
  MatrixView<const float> logits;  // [rows that want something, n_vocab]; empty if all of them want only the arg-max
  std::span<const Argmax> argmax;  // [rows that want something]
  uint32_t n_threads = 1;          // that computed them
};

// Computes the batch's 1 .. workspace.max_rows() rows, writes their keys and values to the caches, and returns views
// into the workspace. Allocates nothing and does not throw; every argument is in range (GPT2_CHECK). Radford et al.
// 2019, "Language Models are Unsupervised Multitask Learners".
ForwardResult forward(const Config& config, const Weights& weights, const Batch& batch, Workspace& workspace,
                      const Machine& machine);

}  // namespace gpt2
