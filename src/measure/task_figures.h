// What the answers to a task's examples come to, as lm-evaluation-harness 0.4.13 counts: right or wrong, means,
// perplexity, standard errors.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "src/base/thread_team.h"
#include "src/measure/continuations.h"
#include "src/measure/tasks.h"

namespace gpt2 {

// The choices that a model makes in one example: the most likely continuation; that with the highest log-likelihood
// for each character of its choice; for each byte. Of equals the first. Without choices: 0 if the continuation is the
// most likely text, else 1.
struct Judgement {
  size_t choice = 0, by_characters = 0, by_bytes = 0;
};
Judgement judge(const Example& example, std::span<const ContinuationScore> scores);

struct Estimate {
  double value = 0;
  std::optional<double> standard_error;  // of 2 examples or more
};

// Returns the mean, and the sample's standard deviation over the root of their number. Requires at least one.
Estimate mean_of(std::span<const double> values);

// Returns exp(-mean) and the standard deviation of the same over 100,000 samples drawn with replacement, which are
// those that the harness draws: Python's random.choices() after random.seed(0), (1), ... (99), 1,000 each.
Estimate perplexity_of(std::span<const double> logprobs, ThreadTeam& team);

}  // namespace gpt2
