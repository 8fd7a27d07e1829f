// What a forward pass works in, sized once: activations, and the inputs of matrices in the form that each wants.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/base/anonymous_memory.h"
#include "src/base/matrix_view.h"
#include "src/base/team_size.h"
#include "src/model/config.h"

namespace gpt2 {

// What the activations of a step may take beside the model. Every GPT-2 stays far below; a file of 35 MB can claim a
// width that does not.
inline constexpr uint64_t kStepMemory = uint64_t{256} << 20;

// Returns how many rows of a step fit into that, 1 .. `wanted`. No bit of a result depends on it.
uint32_t affordable_rows(const Config& config, uint32_t wanted);
// Returns the same for rows that all want logits.
uint32_t affordable_outputs(const Config& config, uint32_t wanted);

// Up to this many rows every thread norms and prepares all rows for itself, which costs less than a barrier.
inline constexpr uint32_t kFewRows = 2;

// The most likely token of a row, of those below Weights::n_choices; `finite` is false if any logit was NaN or
// infinite.
struct Argmax {
  int32_t token = -1;
  float logit = 0;
  bool finite = true;
};

// Rows of floats, 64-byte aligned. A stride is a line longer than a row: strides of 4096 bytes would share a few cache
// sets. Memory comes when it is first written: logits of many rows are wanted only where a text is scored.
class Activations {
 public:
  Activations() = default;
  Activations(size_t max_rows, size_t cols);
  // Returns the first n rows.
  MatrixView<float> rows(size_t n) const noexcept {
    void* data = data_.data();
    return {static_cast<float*>(data), n, cols_, stride_};
  }

 private:
  mutable AnonymousMemory data_;
  size_t cols_ = 0, stride_ = 0;
};

// Sized for at most `max_rows` rows of which at most `max_outputs` want something.
class Workspace {
 public:
  Workspace(const Config& config, uint32_t max_rows, uint32_t max_outputs, uint32_t n_threads);

  uint32_t max_rows() const noexcept { return max_rows_; }
  uint32_t max_outputs() const noexcept { return max_outputs_; }
  // Returns what was learned of this model's steps.
  TeamSize& team_size() noexcept { return team_size_; }

 private:
  friend class Ops;
  friend class ForwardPass;
  uint32_t max_rows_, max_outputs_;
  TeamSize team_size_;
  Activations x_;       // [max_rows, n_embd]: the residual stream
  Activations turns_;   // [max_rows, d_pad]: cosines and sines of a row's position where positions turn
  Activations qkv_;     // [max_rows, n_kv_head x (n_rep + 2) x d_pad]
  Activations heads_;   // [max_rows, n_head x d_head]: attention's output, head by head
  Activations inner_;   // [max_rows, n_inner]
  Activations logits_;  // [max_outputs, n_vocab]
  Activations normed_;  // [max_rows, n_embd], or [n_threads x kFewRows, n_embd] where each thread norms for itself
  size_t prepared_stride_;                   // bytes
  AlignedBuffer<unsigned char> prepared_;    // the input of the next matrix, as its type wants it; rows as in normed_
  AlignedBuffer<ArgmaxLanes> argmax_lanes_;  // [n_threads, max_outputs]
  AlignedBuffer<uint32_t> output_rows_;      // [max_outputs]: which rows want something
  AlignedBuffer<Argmax> argmax_;             // [max_outputs]
};

}  // namespace gpt2
