// Attention of one layer over the caches, in the two steps that a thread takes for one sequence's rows and one group of
// heads (those that share keys and values). Which thread takes which, and when, is in ops.h.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "src/base/matrix_view.h"
#include "src/base/thread_team.h"
#include "src/model/config.h"
#include "src/model/forward.h"

namespace gpt2 {

// Writes the cosines and then the sines by which the pairs of a position's heads turn: [2, frequencies.size()]. The
// angle is rounded to a float before its cosine is taken, as the models were trained. Su et al. 2021, "RoFormer".
void turns_of(uint32_t position, std::span<const float> frequencies, float* out) noexcept;

struct LayerAttention {
  const Config& config;
  const Batch& batch;
  uint32_t layer;
  float scale;                    // of the scores
  MatrixView<const float> turns;  // [n_tokens, 2 x d_pad / 2]; no rows where positions are learned
  MatrixView<float> qkv;          // [n_tokens, n_kv_head x (n_rep + 2) x d_pad]: a group's q's, its k, its v
  MatrixView<float> heads;        // [n_tokens, n_head x d_head]

  // Turns a group's q's and k where positions turn; the cache takes k and v.
  void keep(const KernelTable& kernels, size_t group, Range rows) const noexcept;
  // heads[rows, mine of the group] = softmax(scale q k^T, causal) v
  void attend(const KernelTable& kernels, size_t group, Range mine, Range rows) const noexcept;

  // Calls body(its number, its rows) for every sequence of the batch.
  template <class Body>
  void each_sequence(Body&& body) const noexcept {
    const std::span<const Row> rows = batch.rows;
    for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
      while (end < rows.size() && rows[end].sequence == rows[begin].sequence) ++end;
      body(rows[begin].sequence, Range{begin, end});
    }
  }

 private:
  const KvSequence& sequence_of(Range rows) const noexcept { return *batch.sequences[batch.rows[rows.begin].sequence]; }
  float* group_of(size_t row, size_t group) const noexcept {
    return qkv.row(row).data() + group * (config.n_rep() + 2) * config.d_pad();
  }
};

}  // namespace gpt2
