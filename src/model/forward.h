// All the arithmetic of the model behind one function: prefill, decode, verification of drafts and mixed batches are the same
// call with other rows.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/base/matrix_view.h"
#include "src/base/team_size.h"
#include "src/base/thread_team.h"
#include "src/model/config.h"
#include "src/model/kv_cache.h"
#include "src/model/weights.h"

namespace gpt2 {

// What a row wants of its logits; the arg-max comes with either.
enum class Wants : uint8_t { nothing, argmax, logits };

// One token of one sequence. Rows of a sequence stand together, positions ascending by one; its cache is already extended
// past the last of them, and everything before the first has been computed.
struct Row {
  uint32_t sequence = 0;  // index into the sequences of this call
  uint32_t position = 0;  // below n_ctx
  int32_t token = 0;      // below n_vocab
  Wants wants = Wants::nothing;
};

// The most likely token of a row; `finite` is false if any logit was NaN or infinite.
struct Argmax {
  int32_t token = -1;
  float logit = 0;
  bool finite = true;
};

// Up to this many rows every thread norms and prepares all rows for itself, which costs less than a barrier.
inline constexpr uint32_t kFewRows = 2;

// What a forward pass works in, sized once for at most `max_rows` rows of which at most `max_outputs` want something.
class Workspace {
 public:
  Workspace(const Config& config, uint32_t max_rows, uint32_t max_outputs, uint32_t n_threads);

  uint32_t max_rows() const noexcept { return max_rows_; }
  uint32_t max_outputs() const noexcept { return max_outputs_; }
  // What was learned of this model's steps.
  TeamSize& team_size() noexcept { return team_size_; }

 private:
  friend class ForwardPass;
  uint32_t max_rows_, max_outputs_;
  TeamSize team_size_;
  size_t embd_stride_, qkv_stride_, inner_stride_, vocab_stride_, prepared_stride_;
  AlignedBuffer<float> x_;       // [max_rows, n_embd]: the residual stream
  AlignedBuffer<float> normed_;  // [max_rows, n_embd], or [n_threads, kFewRows, n_embd] where each thread norms for itself
  AlignedBuffer<unsigned char> prepared_;  // the input of the next matrix, as its type wants it; rows as in normed_
  AlignedBuffer<float> qkv_;     // [max_rows, n_head x 3 x d_pad]
  AlignedBuffer<float> heads_;   // [max_rows, n_embd]: attention's output, head by head
  AlignedBuffer<float> inner_;   // [max_rows, n_inner]
  AlignedBuffer<float> output_;  // [max_outputs, n_embd]: final norm of the rows that want something
  AlignedBuffer<unsigned char> output_prepared_;  // [max_outputs], as the head's type wants it
  AlignedBuffer<float> logits_;  // [max_outputs, n_vocab padded to panels]
  AlignedBuffer<ArgmaxLanes> argmax_lanes_;  // [n_threads, max_outputs]
  AlignedBuffer<uint32_t> output_rows_;      // [max_outputs]
  AlignedBuffer<Argmax> argmax_;             // [max_outputs]
};

struct ForwardResult {
  MatrixView<const float> logits;  // [rows that want something, n_vocab]; empty if all of them want only the arg-max
  std::span<const Argmax> argmax;  // [rows that want something]
  uint32_t n_threads = 1;          // that computed them
};

// Computes `rows` (1 .. workspace.max_rows()) over the sequences' caches, writes their keys and values there, and returns views
// into the workspace. Allocates nothing and does not throw; every argument is in range (GPT2_CHECK).
// Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
ForwardResult forward(const Config& config, const Weights& weights, std::span<const Row> rows,
                      std::span<KvSequence* const> sequences, const KvLayout& kv, Workspace& workspace,
                      const KernelTable& kernels, ThreadTeam& team);

}  // namespace gpt2
