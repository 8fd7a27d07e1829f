#include "src/engine/evaluation.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>

#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/base/thread_team.h"
#include "src/model/forward.h"
#include "src/model/kv_cache.h"

namespace gpt2 {
namespace {

constexpr uint32_t kStepRows = 128;  // rows of one forward: 26 MB of logits at GPT-2's vocabulary

// Two doubles: one register of every 64-bit machine. A row has 50257 words and the compiler does not vectorise at -O2.
typedef double Pair __attribute__((vector_size(16)));
typedef uint64_t PairBits __attribute__((vector_size(16)));
constexpr size_t kPairs = 4;  // partial sums of a row, enough chains to fill the adders; one order everywhere

// exp for -700 <= x <= 0 to 1e-12 relative: 2^n exp(r) with |r| <= 0.35, so that r^11 / 11! < 3e-13.
inline Pair exp_of_difference(Pair x) {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds to a whole number, which then stands in the low bits
  constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefa39efp-1;
  constexpr double kCoefficients[] = {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                                      1.0 / 24,     1.0 / 6,     0.5,        1.0,       1.0};
  const Pair shifted = x * kLog2e + kMagic;
  const Pair r = x - (shifted - kMagic) * kLn2;
  Pair sum = r * (1.0 / 3628800) + kCoefficients[0];
  for (size_t i = 1; i < std::size(kCoefficients); ++i) sum = sum * r + kCoefficients[i];
  return std::bit_cast<Pair>(std::bit_cast<PairBits>(sum) + (std::bit_cast<PairBits>(shifted) << 52));
}

// sum(exp(x - max)) and, with another row, sum(exp(x - max) (x - other)).
struct ExpSums {
  float max;
  double exps, weighted_differences;
};
template <bool kWithOther>
ExpSums exp_sums(std::span<const float> x, const float* other) {
  const double max = *std::max_element(x.begin(), x.end());
  const auto below_max = [&](size_t i) { return std::max(x[i] - max, -700.0); };
  const auto difference = [&](size_t i) { return double{x[i]} - other[i]; };
  Pair exps[kPairs] = {}, weighted[kPairs] = {};
  size_t i = 0;
  for (; i + 2 * kPairs <= x.size(); i += 2 * kPairs) {
    for (size_t pair = 0; pair < kPairs; ++pair) {
      const size_t at = i + 2 * pair;
      const Pair e = exp_of_difference(Pair{below_max(at), below_max(at + 1)});
      exps[pair] += e;
      if constexpr (kWithOther) weighted[pair] += e * Pair{difference(at), difference(at + 1)};
    }
  }
  for (; i < x.size(); ++i) {
    const Pair e = exp_of_difference(Pair{below_max(i), -700.0});
    exps[0][0] += e[0];
    if constexpr (kWithOther) weighted[0][0] += e[0] * difference(i);
  }
  ExpSums sums = {static_cast<float>(max), 0, 0};
  for (size_t pair = 0; pair < kPairs; ++pair) {
    sums.exps += exps[pair][0] + exps[pair][1];
    sums.weighted_differences += weighted[pair][0] + weighted[pair][1];
  }
  return sums;
}

double log_of(const ExpSums& sums) { return sums.max + portable_log(sums.exps); }

// A model that reads one window after the other.
class Reader {
 public:
  Reader(const Model& model, const EvalOptions& options)
      : model_(model),
        kv_(model.config(), options.kv_type.value_or(model.weights().wte.dtype == DType::f32 ? KvType::f32 : KvType::f16)),
        pool_(kv_, (options.window + kBlockPositions - 1) / kBlockPositions),
        sequence_(pool_, model.config().n_ctx),
        workspace_(model.config(), kStepRows, kStepRows, options.threads),
        kernels_(*options.kernels) {
    GPT2_CHECK(options.window <= model.config().n_ctx);
    rows_.reserve(kStepRows);
  }

  // Computes tokens[begin, end) of a window that starts at `start`; logits are wanted from token `first_wanted` on.
  void step(std::span<const int32_t> tokens, size_t start, Range range, size_t first_wanted, ThreadTeam& team) {
    if (range.begin == start) sequence_.truncate(0);
    const bool extended = sequence_.extend(static_cast<uint32_t>(range.end - start));
    GPT2_CHECK(extended);
    rows_.clear();
    for (size_t i = range.begin; i < range.end; ++i) {
      rows_.push_back({0, static_cast<uint32_t>(i - start), tokens[i], i >= first_wanted ? Wants::logits : Wants::nothing});
    }
    KvSequence* const sequence = &sequence_;
    result_ = forward(model_.config(), model_.weights(), rows_, {&sequence, 1}, kv_, workspace_, kernels_, team);
  }

  std::span<const float> logits(size_t i) const { return result_.logits.row(i); }
  const Argmax& argmax(size_t i) const { return result_.argmax[i]; }

  // Throws where a row of the last step is not finite.
  void check_finite(size_t first_token) const {
    for (size_t i = 0; i < result_.argmax.size(); ++i) {
      if (result_.argmax[i].finite) continue;
      fail_model(model_.name(), "logits after token " + std::to_string(first_token + i) + " of the text", "finite numbers",
                 "NaN or infinity");
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
void score_step(const Reader& reader, const Reader* reference, std::span<const int32_t> tokens, Range wanted, ThreadTeam& team,
                Scores& scores) {
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

Evaluation evaluate(const Model& model, const Model* reference, std::span<const int32_t> tokens, const EvalOptions& options,
                    const EvalProgress& progress) {
  GPT2_CHECK(tokens.size() >= 2 && options.kernels != nullptr);
  GPT2_CHECK(reference == nullptr || reference->config().n_vocab == model.config().n_vocab);
  ThreadTeam team(options.threads);
  Reader reader(model, options);
  const auto other = reference != nullptr ? std::make_unique<Reader>(*reference, options) : nullptr;
  Scores scores;
  scores.nll.reserve(tokens.size());
  for (const EvalWindow& window : eval_windows(tokens.size(), options.window, options.stride)) {
    const size_t first_wanted = window.first_scored - 1;  // the row before a token predicts it; the last row predicts nothing
    for (size_t begin = window.begin; begin + 1 < window.end;) {
      const size_t end = std::min<size_t>(begin + kStepRows, window.end - 1);
      reader.step(tokens, window.begin, {begin, end}, first_wanted, team);
      if (other) other->step(tokens, window.begin, {begin, end}, first_wanted, team);
      const Range wanted = {std::max(begin, first_wanted), end};
      if (wanted.begin < wanted.end) score_step(reader, other.get(), tokens, wanted, team, scores);
      if (progress) progress(scores.nll.size(), tokens.size() - 1);
      begin = end;
    }
  }
  GPT2_CHECK(scores.nll.size() == tokens.size() - 1);
  return summed(scores, reference != nullptr);
}

double log_sum_exp(std::span<const float> logits) { return log_of(exp_sums<false>(logits, nullptr)); }

// With Z the sum of exps: sum p (log p - log q) = sum p (x - y) - log Z_p + log Z_q.
double kl_divergence(std::span<const float> reference, std::span<const float> logits) {
  GPT2_CHECK(reference.size() == logits.size());
  const ExpSums p = exp_sums<true>(reference, logits.data());
  return std::max(0.0, p.weighted_differences / p.exps - log_of(p) + log_sum_exp(logits));
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

std::optional<size_t> first_difference(const Tokenizer& a, const Tokenizer& b) {
  if (a.hash() == b.hash()) return std::nullopt;
  const size_t shared = std::min(a.n_tokens(), b.n_tokens());
  for (size_t id = 0; id < shared; ++id) {
    const auto token = static_cast<TokenId>(id);
    if (a.token_bytes(token) != b.token_bytes(token)) return id;
  }
  return shared;
}

}  // namespace gpt2
