// How many tokens to draft: costs and acceptance as they are measured, and from them the length that maximises expected
// tokens per second, none included. Arithmetic on what it is told; runs no model and reads no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gpt2 {

inline constexpr uint32_t kMaxDraft = 15;  // a step verifies at most 16 rows of a sequence

// Seconds of a step by its number of rows. What was not measured is taken from the nearest numbers of rows that were,
// along a line that rises by kSlope of one row's cost per row.
class StepCosts {
 public:
  static constexpr double kSlope = 0.06;

  void observe(uint32_t rows, double seconds) noexcept;
  bool known() const noexcept { return n_observed_ > 0; }
  uint32_t n_observed() const noexcept { return n_observed_; }
  // Requires known(). Rises with `rows`.
  double of(uint32_t rows) const noexcept;

 private:
  static constexpr std::array<uint32_t, 33> kKnots = {1,  2,  3,  4,  5,   6,   7,   8,   9,   10,  11,
                                                      12, 13, 14, 15, 16,  20,  24,  28,  32,  40,  48,
                                                      56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512};
  static double line(uint32_t rows) noexcept { return 1 + kSlope * (rows - 1); }
  static size_t knot_below(uint32_t rows) noexcept;
  double measured(uint32_t rows) const noexcept;

  std::array<double, kKnots.size()> seconds_{};   // per line(): about the cost of one row
  std::array<uint32_t, kKnots.size()> counts_{};  // 0: not measured
  uint32_t n_observed_ = 0;
};

// Where a proposed token came from.
enum class DraftSource : uint8_t { lookup, model };

// The draft's confidence in a token in steps of 0 .. kConfidences - 1.
inline constexpr uint32_t kConfidences = 8;
uint32_t lookup_confidence(uint32_t match_length) noexcept;  // by the length of the match that ends before the token
// Returns the step by how far the draft's best score is above its second best.
uint32_t model_confidence(double margin) noexcept;

// How often proposed tokens are accepted when all before them were: running rates by confidence and by position, old
// observations slowly forgotten. Starts from a guess that a few observations outweigh.
class Acceptance {
 public:
  explicit Acceptance(DraftSource source);

  void observe(uint32_t position, uint32_t confidence, bool accepted) noexcept;
  void forget() noexcept;  // once a step

  double rate(uint32_t position, uint32_t confidence) const noexcept;
  double rate(uint32_t position) const noexcept;  // the confidence is not known yet

 private:
  struct Rate {
    double accepted = 0, n = 0;
    double given(double prior, double weight) const { return (accepted + prior * weight) / (n + weight); }
  };
  double overall() const noexcept;
  double guess(uint32_t confidence) const noexcept;

  DraftSource source_;
  std::array<Rate, kMaxDraft> by_position_{};
  std::array<Rate, kConfidences> by_confidence_{};
  Rate all_;
};

// A decision's circumstances.
struct LengthQuestion {
  uint32_t drafted = 0;       // tokens drafted for this sequence so far
  uint32_t most = kMaxDraft;  // as many as there may be
  double survival = 1;        // probability that all of them are accepted
  uint32_t rows = 1;          // rows of the target's step as it is planned now
  double draft_seconds = 0;   // of one more token
  double start_seconds = 0;   // before the first of them: the share of catching up with the text that is this step's
};

struct LengthAnswer {
  uint32_t more = 0;  // tokens beyond those drafted; 0: stop here
  double gain = 0;    // expected seconds that they save; 0 if more = 0
};

// Returns the number of further tokens with the largest  expected tokens / rate - cost,  where `next(i)` is the
// probability that the i-th of them (from 0) is accepted when those before were. `rate`: tokens per second that a
// second is worth.
template <class Next>
LengthAnswer best_length(const LengthQuestion& question, const StepCosts& target, double rate, Next next) {
  LengthAnswer best;
  double survival = question.survival, tokens = 0;
  const double now = target.of(question.rows);
  for (uint32_t more = 1; question.drafted + more <= question.most; ++more) {
    survival *= next(more - 1);
    tokens += survival;
    const double cost = question.start_seconds + more * question.draft_seconds + target.of(question.rows + more) - now;
    const double gain = tokens / rate - cost;
    if (gain > best.gain) best = {more, gain};
  }
  return best;
}

// Keeps speculation from costing more than it may: counts what steps took beyond their tokens' time without it.
class Ledger {
 public:
  // What may be lost: kShare of the time so far, and the time of kLesson plain steps to learn from.
  static constexpr double kShare = 0.012, kLesson = 1.0, kSavings = 4.0;

  // Learns of a step with speculation: `saved` seconds (negative: lost) against no speculation, of `seconds` that it
  // took.
  void observe(double saved, double seconds, double plain_step) noexcept;
  // Returns whether `risk` seconds more may be lost.
  bool allows(double risk, double plain_step) const noexcept;

 private:
  double balance_ = 0, seconds_ = 0;
};

// A ratio of sums over the last hundred or so steps.
class RunningRatio {
 public:
  void observe(double above, double below) noexcept;
  double value() const noexcept { return below_ > 0 ? above_ / below_ : 0; }

 private:
  double above_ = 0, below_ = 0;
};

// What a step was, for LengthPolicy::finish_step.
struct StepOutcome {
  uint32_t sequences = 1, rows = 1, tokens = 1;  // rows of the target's step, tokens that it gave, of all sequences
  double draft_seconds = 0, verify_seconds = 0;
};

// Decides every length for the sequences of one engine. Without measurements it asks for plain steps, to make some.
class LengthPolicy {
 public:
  // Returns how many of the tokens that follow a match of this length to propose.
  LengthAnswer lookup_length(const LengthQuestion& question, uint32_t match_length, uint32_t sequences) const noexcept;
  // Returns how many further tokens the draft model is to propose.
  LengthAnswer model_length(const LengthQuestion& question, uint32_t sequences) const noexcept;

  // Returns whether a token that is accepted with this probability is worth the last of `rows` rows.
  bool is_worth_a_row(double survival, uint32_t rows, uint32_t sequences) const noexcept;

  // Learns of a proposed token that was accepted, or of the first of its sequence that was not.
  void observe_token(DraftSource source, uint32_t position, uint32_t confidence, bool accepted) noexcept;
  void finish_step(const StepOutcome& outcome) noexcept;

  bool ready() const noexcept { return target_.n_observed() >= kPlainSteps; }
  const StepCosts& target() const noexcept { return target_; }
  const Acceptance& acceptance(DraftSource source) const noexcept { return acceptance_[static_cast<size_t>(source)]; }

 private:
  static constexpr uint32_t kPlainSteps = 2;
  double tokens_per_second(uint32_t sequences) const noexcept;
  template <class Next>
  LengthAnswer choose(const LengthQuestion& question, uint32_t sequences, Next next) const noexcept;

  StepCosts target_;
  std::array<Acceptance, 2> acceptance_ = {Acceptance(DraftSource::lookup), Acceptance(DraftSource::model)};
  Ledger ledger_;
  RunningRatio speedup_;
};

// Returns the speed-up that k drafted tokens give when each is accepted with probability a, a draft step costs c target
// steps and the target's step of k + 1 rows costs `relative_step` steps of one row: Leviathan et al. 2023, theorem 3.8,
// with that cost.
double expected_speedup(double a, uint32_t k, double c, double relative_step) noexcept;

}  // namespace gpt2
