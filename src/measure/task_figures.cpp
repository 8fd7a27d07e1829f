#include "src/measure/task_figures.h"

#include <array>
#include <cmath>
#include <cstdint>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr size_t kChunks = 100, kChunk = 1000;  // bootstrap samples

// The random numbers of Python's `random`: MT19937, seeded by an array of one word (Matsumoto and Nishimura 2002,
// init_by_array), two outputs for each double of 53 bits.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed) {
    state_[0] = 19650218;
    for (uint32_t i = 1; i < kWords; ++i) state_[i] = 1812433253 * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
    uint32_t i = 1;
    const auto advance = [&] {
      if (++i < kWords) return;
      state_[0] = state_[kWords - 1];
      i = 1;
    };
    for (uint32_t k = 0; k < kWords; ++k, advance())
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525)) + seed;
    for (uint32_t k = 1; k < kWords; ++k, advance())
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941)) - i;
    state_[0] = 0x80000000;
  }

  // Returns a number below n.
  size_t below(size_t n) {
    const uint32_t high = next() >> 5, low = next() >> 6;
    return static_cast<size_t>((high * 67108864.0 + low) / 9007199254740992.0 * static_cast<double>(n));
  }

 private:
  static constexpr uint32_t kWords = 624, kShift = 397;

  uint32_t next() {
    if (at_ == kWords) refill();
    uint32_t y = state_[at_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9D2C5680;
    y ^= (y << 15) & 0xEFC60000;
    return y ^ (y >> 18);
  }

  void refill() {
    for (uint32_t i = 0; i < kWords; ++i) {
      const uint32_t y = (state_[i] & 0x80000000) | (state_[(i + 1) % kWords] & 0x7FFFFFFF);
      state_[i] = state_[(i + kShift) % kWords] ^ (y >> 1) ^ (y % 2 == 1 ? 0x9908B0DF : 0);
    }
    at_ = 0;
  }

  std::array<uint32_t, kWords> state_ = {};
  uint32_t at_ = kWords;
};

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double sample_deviation(std::span<const double> values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

}  // namespace

Judgement judge(const Example& example, std::span<const ContinuationScore> scores) {
  GPT2_CHECK(scores.size() == example.pairs.size() && !scores.empty());
  if (example.choices.empty()) {
    const size_t wrong = scores[0].is_greedy ? 0 : 1;
    return {wrong, wrong, wrong};
  }
  const auto best = [&](auto&& length) {
    size_t first = 0;
    const auto value = [&](size_t i) { return scores[i].logprob / static_cast<double>(length(example.choices[i])); };
    for (size_t i = 1; i < scores.size(); ++i) first = value(i) > value(first) ? i : first;
    return first;
  };
  return {best([](const std::string&) { return 1; }), best(count_characters),
          best([](const std::string& choice) { return choice.size(); })};
}

Estimate mean_of(std::span<const double> values) {
  Estimate estimate = {mean(values), std::nullopt};
  if (values.size() > 1)
    estimate.standard_error = sample_deviation(values) / std::sqrt(static_cast<double>(values.size()));
  return estimate;
}

Estimate perplexity_of(std::span<const double> logprobs, ThreadTeam& team) {
  Estimate estimate = {std::exp(-mean(logprobs)), std::nullopt};
  if (logprobs.size() < 2) return estimate;
  const size_t n = logprobs.size();
  std::vector<double> samples(kChunks * kChunk);
  team.run([&](Worker& worker) noexcept {
    const Range mine = worker.share(kChunks);
    for (size_t chunk = mine.begin; chunk < mine.end; ++chunk) {
      PythonRandom random(static_cast<uint32_t>(chunk));
      for (size_t i = 0; i < kChunk; ++i) {
        double sum = 0;
        for (size_t k = 0; k < n; ++k) sum += logprobs[random.below(n)];
        samples[chunk * kChunk + i] = std::exp(-sum / static_cast<double>(n));
      }
    }
  });
  estimate.standard_error = sample_deviation(samples);
  return estimate;
}

}  // namespace gpt2
