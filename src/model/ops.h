// The operations that forward.cpp is written in, as one thread of the team runs them: each over its own panels, heads
// or rows. How work is divided, where threads wait for each other and in what form a matrix takes its input are decided
// here and nowhere else. Knows no layer and no order of operations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "src/base/matrix_view.h"
#include "src/base/thread_team.h"
#include "src/model/attention.h"
#include "src/model/weights.h"
#include "src/model/workspace.h"

namespace gpt2 {

// Returns what a product of the MLP leaves: act(x), or act(gate) * x where it is gated.
Epilogue activation_of(const Config& config) noexcept;

class Ops {
 public:
  Ops(const KernelTable& kernels, Worker& worker, Workspace& workspace)
      : kernels_(kernels), worker_(worker), workspace_(workspace) {}

  // Calls body(i) for this thread's share of n things.
  template <class Body>
  void each(size_t n, Body&& body) const noexcept {
    over(n, [&](Range mine) {
      for (size_t i = mine.begin; i < mine.end; ++i) body(i);
    });
  }

  // Rows in the form that the type of some matrix takes (layout.h).
  struct Input {
    const unsigned char* x;
    size_t stride;  // bytes
    size_t n_rows;
  };
  // Returns x as `next` takes it. Waits until every thread has written its part of x.
  Input input(MatrixView<const float> x, const Panels& next) const noexcept;
  // Returns norm(x), of all rows of x or of those that are listed, as `next` takes it. Waits as input() does.
  Input norm(const NormWeights& weights, MatrixView<const float> x, const Panels& next,
             std::span<const uint32_t> rows = {}) const noexcept;

  // out [rows, outputs] = epilogue(in w^T + bias), the bias being w's own.
  void linear(const Panels& w, const Input& in, MatrixView<float> out,
              Epilogue epilogue = Epilogue::none) const noexcept;
  // linear() for a matrix whose outputs stand by groups of heads (those that share keys and values), so that attend()
  // may follow.
  void linear_by_groups(const Panels& w, uint32_t n_groups, const Input& in, MatrixView<float> out) const noexcept;
  // Attends to every sequence of the batch: each group of heads keeps its keys and values on one thread and attends on
  // that one, on several where there are fewer groups than threads.
  void attend(const LayerAttention& attention) const noexcept;
  // linear() that keeps the arg-max of the first n_valid outputs of every row. It keeps nothing else where
  // `out` has no rows.
  void linear_argmax(const Panels& w, const Input& in, MatrixView<float> out, size_t n_valid) const noexcept;
  // Returns the arg-max of output row `row` over all threads, once they have left linear_argmax().
  static Argmax best_token(const Workspace& workspace, size_t row, uint32_t n_threads) noexcept;

 private:
  // The one place that divides work: calls body(Range) for what this thread does of n things. Shares ascend.
  template <class Body>
  void over(size_t n, Body&& body) const noexcept {
    body(worker_.share(n));
  }
  // Returns whether a thread attends with the q, k and v that it has computed itself: where groups divide by the
  // threads. Elsewhere the pairs of a sequence and a group go round.
  bool own_groups(uint32_t n_groups) const noexcept { return n_groups % worker_.count() == 0; }
  template <class Body>
  void each_pair(size_t n, size_t sequence, Body&& body) const noexcept {
    if (n % worker_.count() == 0) return each(n, body);
    for (size_t i = 0; i < n; ++i) {
      if ((sequence * n + i) % worker_.count() == worker_.index()) body(i);
    }
  }
  // Returns into how many parts each group is divided: more than one where there are fewer groups than threads.
  size_t parts_of_group(size_t n_groups, size_t n_rep) const noexcept {
    if (n_groups >= worker_.count()) return 1;
    return std::min<size_t>(n_rep, (worker_.count() + n_groups - 1) / n_groups);
  }

  // An input's rows stand in the workspace from first_row() on: of many rows each thread makes its share, of few its
  // own copy of all. Calls make_row(i, row of the workspace), then waits for the others where rows are shared.
  template <class MakeRow>
  void make_rows(size_t n_rows, MakeRow&& make_row) const noexcept;
  size_t first_row(size_t n_rows) const noexcept { return n_rows > kFewRows ? 0 : size_t{worker_.index()} * kFewRows; }
  unsigned char* prepared_row(size_t row) const noexcept {
    return workspace_.prepared_.data() + row * workspace_.prepared_stride_;
  }

  void norm_row(const NormWeights& weights, const float* x, size_t n, float* y) const noexcept;
  MatmulArgs matmul_args(const Panels& w, const Input& in, Range panels) const noexcept;
  // Returns what this thread reads first of its share of a matrix.
  Upcoming upcoming(const Panels& w, size_t n_rows) const noexcept;

  const KernelTable& kernels_;
  Worker& worker_;
  Workspace& workspace_;
};

}  // namespace gpt2
