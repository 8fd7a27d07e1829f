// How well a model predicts a text, and what separates its predictions from another model's: perplexity over windows,
// Kullback-Leibler divergence, agreement of the first choice. Knows tokens, not files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "src/base/thread_team.h"
#include "src/engine/engine.h"
#include "src/model/model.h"

namespace gpt2 {

// Tokens [begin, end) are seen together; those from `first_scored` on are predicted, each from all before it in the
// window.
struct EvalWindow {
  size_t begin = 0, end = 0, first_scored = 0;
};

// Windows of `window` tokens that start `stride` apart, the last one cut at the end. Each scores those of its tokens
// from `first` on that no window before it has scored, so that each of these is scored once; windows that score none
// are left out. Requires 1 <= stride < window, 1 <= first.
std::vector<EvalWindow> eval_windows(size_t n_tokens, uint32_t window, uint32_t stride, size_t first = 1);

struct EvalOptions {
  const KernelTable* kernels = nullptr;  // required
  uint32_t threads = 1;
  TeamUse team_use = TeamUse::all;
  uint32_t window = 0, stride = 0;       // tokens; 1 <= stride < window <= n_ctx of every model
  std::optional<KvType> kv_type;         // without: f32 for models whose wte is f32, f16 for the others
};

// Of one model against a reference, over the scored tokens; nats.
struct Divergence {
  double mean = 0, max = 0;  // of KL(reference || model)
  size_t n_same_top = 0;     // tokens where both hold the same word most likely
};

struct Evaluation {
  size_t n_scored = 0;
  uint32_t threads = 1;  // that OpenMP gave
  double nll = 0;  // total negative log-likelihood, nats: of each token a summable() number
  std::optional<Divergence> divergence;
};

// Called after every step with the scored tokens and their total; may throw to stop.
using EvalProgress = std::function<void(uint64_t done, uint64_t total)>;

// Scores `tokens` (at least 2, each below n_vocab). With a reference, which must have the same vocabulary, also the
// divergence from it. The figures are sums in double in the order of the text: no bit depends on the threads.
// Throws Error (exit 3) where a logit is not finite.
Evaluation evaluate(const Model& model, const Model* reference, std::span<const int32_t> tokens,
                    const EvalOptions& options, const EvalProgress& progress = nullptr);

// Words as separated by spaces, tabs and line ends (ASCII), as `wc -w` counts them.
uint64_t count_words(std::string_view text);

}  // namespace gpt2
