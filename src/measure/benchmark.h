// Timing a model against the machine's limits: prefill, decode at a depth, and steps of a few rows. Each sample stands
// between two probes of what bounds it, and is given as percent of: the least time that the machine allows / the time
// that it took. Least times:
//   prefill: operations of the weights (2 x weights of the blocks x tokens, 2 x weights of the head) / peak of their
//   type
//            + causal attention flops / f32 peak
//   decode:  (weight bytes + KV bytes) / read bandwidth
//   rows:    the larger of weight bytes / read bandwidth and operations / peak, + KV bytes of all rows / read bandwidth
//   first:   as rows, for the rows of a prompt of which the last one goes through the head; the time begins before the
//            model is opened and the team and its memory are made
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/measure/probe.h"
#include "src/model/forward.h"
#include "src/model/model.h"

namespace gpt2 {

enum class BenchTest : uint8_t { prefill, decode, rows, first };

struct BenchCase {
  BenchTest test = BenchTest::decode;
  uint32_t n = 1;      // prefill, first: tokens; decode: tokens one after the other; rows: rows of one step
  uint32_t depth = 0;  // positions before the first; of every row
};

struct BenchResult {
  BenchCase bench;
  std::string limit;                  // what takes most of the least time: "read", "fma", "bf16" or "int8"
  std::vector<double> seconds;        // by sample, for all n
  std::vector<double> least_seconds;  // by sample: what the limits allow
  // By sample, of `limit`: bytes/s or operations/s, the mean of the probes before and after it.
  std::vector<double> limit_values;
  double operations = 0;              // of one sample: multiplications and additions of weights and attention
  double bytes = 0;                   // of weights and cache that one sample reads

  double tokens_per_second() const;  // median
  double percent() const;            // median of the samples' percentages
  double percent_low() const;        // the smallest and largest
  double percent_high() const;
  double limit_value() const;        // median
};

class ModelBenchmark {
 public:
  // `open` opens the model once more, as part of what the time to the first token is; without one that part is left
  // out.
  ModelBenchmark(const Model& model, const KernelTable& kernels, const ThreadChoice& threads, KvType kv_type,
                 std::function<Model()> open = nullptr);

  // `samples` >= 1 after one warm-up. Requires n + depth <= n_ctx.
  BenchResult run(const BenchCase& bench, uint32_t samples);

  MachineProbe& probe() noexcept { return probe_; }
  uint32_t threads() const noexcept { return team_.size(); }

 private:
  struct Work;
  struct Limits;
  Work work_of(const BenchCase& bench) const;
  Limits probe(const Work& work);
  struct Stage;
  double time(const BenchCase& bench, Stage& stage);
  double time_first(const BenchCase& bench);

  const Model& model_;
  const KernelTable& kernels_;
  ThreadChoice threads_;
  std::function<Model()> open_;
  ThreadTeam team_;
  KvLayout kv_;
  MachineProbe probe_;
};

// Returns a model of this many parameters with random weights, made in memory: "82M", "124M", "355M", "774M" or
// "1558M". Throws Error (exit 2) for another name.
Model random_model(const std::string& shape, DType dtype);

}  // namespace gpt2
