#include "src/measure/evaluation.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"
#include "src/base/thread_team.h"
#include "src/model/forward.h"
#include "src/model/kv_cache.h"

namespace gpt2 {
namespace {

// Rows of one forward: 26 MB of logits at GPT-2's vocabulary; fewer where a model is very wide.
uint32_t step_rows(const Model& model) { return affordable_outputs(model.config(), 128); }

// A model that reads one window after the other.
class Reader {
 public:
  Reader(const Model& model, const EvalOptions& options)
      : model_(model),
        kv_(model.config(),
            options.kv_type.value_or(model.weights().wte.dtype == DType::f32 ? KvType::f32 : KvType::f16)),
        pool_(kv_, (options.window + kBlockPositions - 1) / kBlockPositions),
        sequence_(pool_, model.config().n_ctx),
        workspace_(model.config(), step_rows(model), step_rows(model), options.threads),
        kernels_(*options.kernels) {
    GPT2_CHECK(options.window <= model.config().n_ctx);
    rows_.reserve(workspace_.max_rows());
  }

  // Computes tokens[begin, end) of a window that starts at `start`; logits are wanted from token `first_wanted` on.
  void step(std::span<const int32_t> tokens, size_t start, Range range, size_t first_wanted, ThreadTeam& team) {
    if (range.begin == start) sequence_.truncate(0);
    const bool extended = sequence_.extend(static_cast<uint32_t>(range.end - start));
    GPT2_CHECK(extended);
    rows_.clear();
    for (size_t i = range.begin; i < range.end; ++i) {
      rows_.push_back(
          {0, static_cast<uint32_t>(i - start), tokens[i], i >= first_wanted ? Wants::logits : Wants::nothing});
    }
    KvSequence* const sequence = &sequence_;
    result_ = forward(model_.config(), model_.weights(), {rows_, {&sequence, 1}}, workspace_, {kernels_, team});
  }

  uint32_t max_rows() const noexcept { return workspace_.max_rows(); }
  std::span<const float> logits(size_t i) const { return result_.logits.row(i); }
  const Argmax& argmax(size_t i) const { return result_.argmax[i]; }

  // Throws where a row of the last step is not finite.
  void check_finite(size_t first_token) const {
    for (size_t i = 0; i < result_.argmax.size(); ++i) {
      if (result_.argmax[i].finite) continue;
      fail_model(model_.name(), "logits after token " + std::to_string(first_token + i) + " of the text",
                 "finite numbers", "NaN or infinity");
    }
  }

 private:
  const Model& model_;
  KvLayout kv_;
  KvPool pool_;
  KvSequence sequence_;
  Workspace workspace_;
  const KernelTable& kernels_;
  std::vector<Row> rows_;
  ForwardResult result_;
};

// The scores of every token, in the order of the text.
struct Scores {
  std::vector<double> nll, kl;
  size_t n_same_top = 0;
};

// Scores the rows of the last step: row i predicts token first + i + 1. Each row is one worker's.
void score_step(const Reader& reader, const Reader* reference, std::span<const int32_t> tokens, Range wanted,
                ThreadTeam& team, Scores& scores) {
  reader.check_finite(wanted.begin);
  if (reference != nullptr) reference->check_finite(wanted.begin);
  const size_t base = scores.nll.size();
  scores.nll.resize(base + wanted.size());
  if (reference != nullptr) scores.kl.resize(base + wanted.size());
  team.run([&](Worker& worker) noexcept {
    const Range mine = worker.share(wanted.size());
    for (size_t i = mine.begin; i < mine.end; ++i) {
      const auto logits = reader.logits(i);
      const auto target = static_cast<size_t>(tokens[wanted.begin + i + 1]);
      scores.nll[base + i] = log_sum_exp(logits) - logits[target];
      if (reference != nullptr) scores.kl[base + i] = kl_divergence(reference->logits(i), logits);
    }
  });
  for (size_t i = 0; reference != nullptr && i < wanted.size(); ++i) {
    scores.n_same_top += reader.argmax(i).token == reference->argmax(i).token;
  }
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

TokenScore score_of(std::span<const float> logits, int32_t token, uint32_t n_top) {
  const double total = log_sum_exp(logits);
  const auto logprob = [&](int32_t id) {
    return TokenLogprob{id, static_cast<float>(logits[static_cast<size_t>(id)] - total)};
  };
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(n_top, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  });
  TokenScore score = {logprob(token), {}};
  for (auto id = ids.begin(); id != end; ++id) score.top.push_back(logprob(*id));
  return score;
}

}  // namespace

std::vector<EvalWindow> eval_windows(size_t n_tokens, uint32_t window, uint32_t stride) {
  GPT2_CHECK(stride >= 1 && stride < window);
  std::vector<EvalWindow> windows;
  for (size_t begin = 0, scored = 1; scored < n_tokens; begin += stride) {
    const size_t end = std::min<size_t>(begin + window, n_tokens);
    windows.push_back({begin, end, scored});
    scored = end;
  }
  return windows;
}

Evaluation evaluate(const Model& model, const Model* reference, std::span<const int32_t> tokens,
                    const EvalOptions& options, const EvalProgress& progress) {
  GPT2_CHECK(tokens.size() >= 2 && options.kernels != nullptr);
  GPT2_CHECK(reference == nullptr || reference->config().n_vocab == model.config().n_vocab);
  ThreadTeam team(options.threads, options.team_use);
  EvalOptions given = options;
  given.threads = team.size();
  Reader reader(model, given);
  const auto other = reference != nullptr ? std::make_unique<Reader>(*reference, given) : nullptr;
  const uint32_t rows = other ? std::min(reader.max_rows(), other->max_rows()) : reader.max_rows();
  Scores scores;
  scores.nll.reserve(tokens.size());
  for (const EvalWindow& window : eval_windows(tokens.size(), options.window, options.stride)) {
    // The row before a token predicts it; the last row predicts nothing.
    const size_t first_wanted = window.first_scored - 1;
    for (size_t begin = window.begin; begin + 1 < window.end;) {
      const size_t end = std::min<size_t>(begin + rows, window.end - 1);
      reader.step(tokens, window.begin, {begin, end}, first_wanted, team);
      if (other) other->step(tokens, window.begin, {begin, end}, first_wanted, team);
      const Range wanted = {std::max(begin, first_wanted), end};
      if (wanted.begin < wanted.end) score_step(reader, other.get(), tokens, wanted, team, scores);
      if (progress) progress(scores.nll.size(), tokens.size() - 1);
      begin = end;
    }
  }
  GPT2_CHECK(scores.nll.size() == tokens.size() - 1);
  Evaluation evaluation = summed(scores, reference != nullptr);
  evaluation.threads = team.size();
  return evaluation;
}

std::vector<TokenScore> score_tokens(const Model& model, std::span<const int32_t> tokens, uint32_t n_top,
                                     const EvalOptions& options) {
  GPT2_CHECK(!tokens.empty() && tokens.size() <= options.window && options.kernels != nullptr);
  ThreadTeam team(options.threads);
  Reader reader(model, options);
  std::vector<TokenScore> scores = {{{tokens[0], std::numeric_limits<float>::quiet_NaN()}, {}}};
  for (size_t begin = 0; begin + 1 < tokens.size();) {
    const size_t end = std::min<size_t>(begin + reader.max_rows(), tokens.size() - 1);
    reader.step(tokens, 0, {begin, end}, 0, team);
    reader.check_finite(begin);
    for (size_t i = begin; i < end; ++i) scores.push_back(score_of(reader.logits(i - begin), tokens[i + 1], n_top));
    begin = end;
  }
  return scores;
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
