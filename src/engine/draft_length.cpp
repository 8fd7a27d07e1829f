#include "src/engine/draft_length.h"

#include <algorithm>
#include <cmath>

namespace gpt2 {
namespace {

// A guess counts like this many observations.
constexpr double kGuessWeight = 3;
// Rates by position or confidence lean on the overall rate until they have about this many observations.
constexpr double kLean = 8;
// Observations are forgotten by this share a step: half is gone after 350 steps.
constexpr double kForget = 0.002;
// One measurement moves a cost by at most this share, and counts no less than 1 / kWindow.
constexpr double kMostChange = 0.5, kWindow = 12;

double odds(double p) { return p / (1 - p); }

}  // namespace

size_t StepCosts::knot_below(uint32_t rows) noexcept {
  const auto above = std::upper_bound(kKnots.begin(), kKnots.end(), rows);
  return static_cast<size_t>(above - kKnots.begin()) - 1;
}

void StepCosts::observe(uint32_t rows, double seconds) noexcept {
  size_t knot = knot_below(rows);
  if (knot + 1 < kKnots.size() && kKnots[knot + 1] - rows < rows - kKnots[knot]) ++knot;
  ++n_observed_;
  const double unit = seconds / line(rows);
  if (counts_[knot] == 0) {
    seconds_[knot] = unit;
  } else {
    // The first measurement of a number of rows may have met cold caches: the second outweighs it if it is less.
    const double weight =
        counts_[knot] == 1 && unit < seconds_[knot] ? 0.75 : std::max(1 / kWindow, 1.0 / (counts_[knot] + 1));
    const double change = std::clamp(unit / seconds_[knot] - 1, -kMostChange, kMostChange);
    seconds_[knot] *= 1 + weight * change;
  }
  ++counts_[knot];
}

// Straight between the measured numbers of rows around `rows`.
double StepCosts::measured(uint32_t rows) const noexcept {
  const size_t here = knot_below(rows);
  size_t below = here + 1, above = here + (kKnots[here] == rows ? 0 : 1);
  while (below > 0 && counts_[below - 1] == 0) --below;
  while (above < kKnots.size() && counts_[above] == 0) ++above;
  if (below == 0 && above == kKnots.size()) return 0;
  if (below == 0) return seconds_[above];
  if (above == kKnots.size() || above == below - 1) return seconds_[below - 1];
  const double low = kKnots[below - 1], high = kKnots[above];
  const double share = (rows - low) / (high - low);
  return seconds_[below - 1] * (1 - share) + seconds_[above] * share;
}

double StepCosts::of(uint32_t rows) const noexcept {
  double most = 0;
  // More rows never cost less: what measurements say otherwise is noise.
  for (uint32_t r = rows <= 16 ? 1 : rows; r <= rows; ++r) most = std::max(most, measured(r) * line(r));
  return most;
}

uint32_t lookup_confidence(uint32_t match_length) noexcept {
  constexpr uint32_t kFrom[kConfidences] = {0, 2, 3, 4, 6, 9, 16, 32};
  uint32_t confidence = 0;
  while (confidence + 1 < kConfidences && match_length >= kFrom[confidence + 1]) ++confidence;
  return confidence;
}

uint32_t model_confidence(double margin) noexcept {
  constexpr double kFrom[kConfidences] = {0, 0.15, 0.4, 0.8, 1.4, 2.2, 3.5, 6};
  uint32_t confidence = 0;
  while (confidence + 1 < kConfidences && margin >= kFrom[confidence + 1]) ++confidence;
  return confidence;
}

Acceptance::Acceptance(DraftSource source) : source_(source) {}

double Acceptance::guess(uint32_t confidence) const noexcept {
  constexpr double kLookup[kConfidences] = {0.15, 0.25, 0.4, 0.5, 0.7, 0.85, 0.92, 0.95};
  constexpr double kModel[kConfidences] = {0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95};
  return source_ == DraftSource::lookup ? kLookup[confidence] : kModel[confidence];
}

void Acceptance::observe(uint32_t position, uint32_t confidence, bool accepted) noexcept {
  for (Rate* rate : {&by_position_[position], &by_confidence_[confidence], &all_}) {
    rate->n += 1;
    rate->accepted += accepted ? 1 : 0;
  }
}

void Acceptance::forget() noexcept {
  const auto fade = [](Rate& rate) {
    rate.n *= 1 - kForget;
    rate.accepted *= 1 - kForget;
  };
  for (Rate& rate : by_position_) fade(rate);
  for (Rate& rate : by_confidence_) fade(rate);
  fade(all_);
}

double Acceptance::overall() const noexcept {
  return all_.given(source_ == DraftSource::lookup ? 0.5 : 0.55, kGuessWeight);
}

double Acceptance::rate(uint32_t position) const noexcept { return by_position_[position].given(overall(), kLean); }

// The rate at this confidence, with its odds shifted as the position shifts those of all.
double Acceptance::rate(uint32_t position, uint32_t confidence) const noexcept {
  const double all = std::clamp(overall(), 0.001, 0.999);
  // What the whole has shown of the draft moves the guess for a confidence that has not been seen.
  const double moved = guess(confidence) * std::min(1.0, all / 0.5);
  const double here = std::clamp(by_confidence_[confidence].given(moved, kGuessWeight), 0.001, 0.999);
  const double at = std::clamp(rate(position), 0.001, 0.999);
  const double shifted = odds(here) * odds(at) / odds(all);
  return shifted / (1 + shifted);
}

void Ledger::observe(double saved, double seconds, double plain_step) noexcept {
  seconds_ += seconds;
  balance_ = std::min(balance_ + saved, kSavings * plain_step);
}

bool Ledger::allows(double risk, double plain_step) const noexcept {
  return balance_ - risk >= -(kLesson * plain_step + kShare * seconds_);
}

void RunningRatio::observe(double above, double below) noexcept {
  constexpr double kKeep = 0.99;
  above_ = above_ * kKeep + above;
  below_ = below_ * kKeep + below;
}

// By the best known way to make them: plain steps, or speculation as it has gone lately.
double LengthPolicy::tokens_per_second(uint32_t sequences) const noexcept {
  return std::max(1.0, speedup_.value()) * sequences / target_.of(sequences);
}

template <class Next>
LengthAnswer LengthPolicy::choose(const LengthQuestion& question, uint32_t sequences, Next next) const noexcept {
  if (!ready()) return {};
  const LengthAnswer answer = best_length(question, target_, tokens_per_second(sequences), next);
  if (answer.more == 0 || question.drafted > 0) return answer;
  const double risk = question.start_seconds + answer.more * question.draft_seconds +
                      target_.of(question.rows + answer.more) - target_.of(question.rows);
  return ledger_.allows(risk, target_.of(sequences)) ? answer : LengthAnswer{};
}

LengthAnswer LengthPolicy::lookup_length(const LengthQuestion& question, uint32_t match_length,
                                         uint32_t sequences) const noexcept {
  return choose(question, sequences, [&](uint32_t i) {
    return acceptance(DraftSource::lookup).rate(question.drafted + i, lookup_confidence(match_length + i));
  });
}

LengthAnswer LengthPolicy::model_length(const LengthQuestion& question, uint32_t sequences) const noexcept {
  return choose(question, sequences,
                [&](uint32_t i) { return acceptance(DraftSource::model).rate(question.drafted + i); });
}

bool LengthPolicy::is_worth_a_row(double survival, uint32_t rows, uint32_t sequences) const noexcept {
  return survival >= (target_.of(rows) - target_.of(rows - 1)) * tokens_per_second(sequences);
}

void LengthPolicy::observe_token(DraftSource source, uint32_t position, uint32_t confidence, bool accepted) noexcept {
  acceptance_[static_cast<size_t>(source)].observe(position, confidence, accepted);
}

// The ledger counts what the rows cost as a rule: a step that something else delayed teaches nothing.
void LengthPolicy::finish_step(const StepOutcome& o) noexcept {
  target_.observe(o.rows, o.verify_seconds);
  for (Acceptance& acceptance : acceptance_) acceptance.forget();
  const double plain = target_.of(o.sequences), worth = plain * o.tokens / o.sequences;
  const double seconds = target_.of(o.rows) + o.draft_seconds;
  speedup_.observe(worth, seconds);
  ledger_.observe(worth - seconds, seconds, plain);
}

double expected_speedup(double a, uint32_t k, double c, double relative_step) noexcept {
  const double tokens = a >= 1 ? k + 1 : (1 - std::pow(a, k + 1)) / (1 - a);
  return tokens / (k * c + relative_step);
}

}  // namespace gpt2
