#include "src/measure/evaluation.h"

#include <algorithm>
#include <memory>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"
#include "src/base/summable.h"

namespace gpt2 {
namespace {

// Returns the rows of one step: 26 MB of logits at GPT-2's vocabulary; fewer where a model is very wide.
uint32_t step_rows(const Model& model) { return affordable_outputs(model.config(), 128); }

// A model that reads one window after the other.
class Reader {
 public:
  // A step computes `rows` of its rows.
  Reader(const Model& model, const EvalOptions& options, uint32_t rows)
      : engine_(model, engine_options(model, options, rows)), n_rows_(rows) {}

  // Begins a window; its tokens are scored from first_scored on.
  void begin(std::span<const int32_t> tokens, const EvalWindow& window) {
    Request request;
    request.max_new_tokens = 0;
    request.scores.first = static_cast<uint32_t>(window.first_scored - window.begin);
    begin_ = window.begin;
    slot_ = engine_.insert(engine_.start(tokens.subspan(window.begin, window.end - window.begin), request));
  }

  // Computes the next rows of the window. Throws where one that is wanted is not finite.
  StepResult step() {
    const Sequence& text = engine_.sequence(slot_);
    const StepRows rows = {slot_, std::min(n_rows_, text.n_rows() - text.n_computed()), {}};
    const StepResult result = engine_.generate({&rows, 1})[0];
    if (result.finish == FinishReason::nonfinite) {
      fail_model(engine_.model().name(),
                 "logits after token " + std::to_string(begin_ + text.next_scored - 1) + " of the text",
                 "finite numbers", "NaN or infinity");
    }
    if (result.finish != FinishReason::running) engine_.remove(slot_);
    return result;
  }

  std::span<const float> logits(size_t i) const { return engine_.step_logits().row(i); }
  ThreadTeam& team() { return engine_.team(); }

 private:
  static EngineOptions engine_options(const Model& model, const EvalOptions& options, uint32_t rows) {
    EngineOptions engine;
    engine.kernels = options.kernels;
    engine.threads = options.threads;
    engine.team_use = options.team_use;
    engine.kv_type = options.kv_type.value_or(default_kv_type(model.weights()));
    engine.prefill_chunk = rows;
    return engine;
  }

  Engine engine_;
  uint32_t n_rows_;
  SlotId slot_ = 0;
  size_t begin_ = 0;
};

// The scores of every token, in the order of the text.
struct Scores {
  std::vector<double> nll, kl;
  size_t n_same_top = 0;
};

// Adds what the last step of both models separates. Each row is one worker's.
void compare(Reader& reader, const Reader& reference, std::span<const TokenScore> scored,
             std::span<const TokenScore> expected, Scores& scores) {
  const size_t base = scores.kl.size();
  scores.kl.resize(base + scored.size());
  reader.team().run([&](Worker& worker) noexcept {
    const Range mine = worker.share(scored.size());
    for (size_t i = mine.begin; i < mine.end; ++i)
      scores.kl[base + i] = kl_divergence(reference.logits(i), reader.logits(i));
  });
  for (size_t i = 0; i < scored.size(); ++i) scores.n_same_top += scored[i].best.token == expected[i].best.token;
}

Evaluation summed(const Scores& scores, bool compared) {
  Evaluation evaluation;
  evaluation.n_scored = scores.nll.size();
  for (const double nll : scores.nll) evaluation.nll += nll;
  if (!compared) return evaluation;
  Divergence divergence;
  for (const double kl : scores.kl) {
    divergence.mean += kl;
    divergence.max = std::max(divergence.max, kl);
  }
  divergence.mean /= static_cast<double>(scores.kl.size());
  divergence.n_same_top = scores.n_same_top;
  evaluation.divergence = divergence;
  return evaluation;
}

}  // namespace

std::vector<EvalWindow> eval_windows(size_t n_tokens, uint32_t window, uint32_t stride, size_t first) {
  GPT2_CHECK(stride >= 1 && stride < window && first >= 1);
  std::vector<EvalWindow> windows;
  for (size_t begin = 0, scored = first; scored < n_tokens; begin += stride) {
    const size_t end = std::min<size_t>(begin + window, n_tokens);
    if (end <= scored) continue;
    windows.push_back({begin, end, scored});
    scored = end;
  }
  return windows;
}

Evaluation evaluate(const Model& model, const Model* reference, std::span<const int32_t> tokens,
                    const EvalOptions& options, const EvalProgress& progress) {
  GPT2_CHECK(tokens.size() >= 2 && options.kernels != nullptr);
  GPT2_CHECK(reference == nullptr || reference->config().n_vocab == model.config().n_vocab);
  const uint32_t rows = std::min(step_rows(model), step_rows(reference != nullptr ? *reference : model));
  Reader reader(model, options, rows);
  const auto other = reference != nullptr ? std::make_unique<Reader>(*reference, options, rows) : nullptr;
  Scores scores;
  scores.nll.reserve(tokens.size());
  for (const EvalWindow& window : eval_windows(tokens.size(), options.window, options.stride)) {
    reader.begin(tokens, window);
    if (other) other->begin(tokens, window);
    for (FinishReason finish = FinishReason::running; finish == FinishReason::running;) {
      const StepResult step = reader.step();
      finish = step.finish;
      for (const TokenScore& score : step.scores) scores.nll.push_back(summable(-score.logprob));
      if (other) compare(reader, *other, step.scores, other->step().scores, scores);
      if (progress) progress(scores.nll.size(), tokens.size() - 1);
    }
  }
  GPT2_CHECK(scores.nll.size() == tokens.size() - 1);
  Evaluation evaluation = summed(scores, reference != nullptr);
  evaluation.threads = reader.team().size();
  return evaluation;
}

uint64_t count_words(std::string_view text) {
  uint64_t n_words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    n_words += !space && !inside;
    inside = !space;
  }
  return n_words;
}

}  // namespace gpt2
