// Ids without a token: rows of a padded vocabulary and holes in it have logits and a share of the softmax, and are
// never chosen, drafted or named among the most likely.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "src/base/log_sum_exp.h"
#include "src/engine/batcher.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/speculated_texts.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Padded {
  const char* vocabulary;
  const char* ends;  // of config.json
  std::set<int32_t> choices;
};
// Tokens at the front; with holes between them; an id that ends texts and has no token.
const Padded kPadded[] = {{R"({"a":0,"b":1,"ab":2})", "", {0, 1, 2}},
                          {R"({"a":0,"b":7,"ab":20})", "", {0, 7, 20}},
                          {R"({"a":3,"b":7,"ab":8})", R"(,"eos_token_id":30)", {3, 7, 8, 30}}};

Model padded_model(const Padded& padded, uint64_t seed = 5) {
  FixtureShape shape;
  shape.n_vocab = 37;
  CheckpointFixture fixture = make_checkpoint(shape, seed);
  fixture.vocab_json = padded.vocabulary;
  fixture.config_json.insert(fixture.config_json.size() - 1, padded.ends);
  return convert_fixture(fixture);
}

std::vector<SpecCase> cases_of(const Padded& padded) {
  SamplingOptions penalized = warm(1.0f, 0, 0.9f), biased = greedy();
  penalized.repetition_penalty = 1.3f;
  penalized.frequency_penalty = 0.5f;
  biased.logit_bias = {{36, 100.0f}, {5, 100.0f}, {*padded.choices.begin(), 1.0f}};
  std::vector<SpecCase> cases;
  for (const SamplingOptions& sampling : {greedy(), warm(1.5f, 0, 1.0f), warm(1.0f, 5, 1.0f), penalized, biased}) {
    for (const int32_t first : {0, 36, 5}) {  // a prompt may hold what is never chosen
      const int32_t last = *padded.choices.rbegin();
      cases.push_back({sampling, {first, last, first, last}, 30});
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("choices: no text goes on with an id that has no token, whatever the sampler") {
  for (const Padded& padded : kPadded) {
    CAPTURE(padded.vocabulary);
    const Model model = padded_model(padded);
    const std::vector<SpecCase> cases = cases_of(padded);
    const std::vector<Tokens> found = texts(model, cases, 1, 4, nullptr);
    std::set<int32_t> seen;
    for (const Tokens& text : found) seen.insert(text.begin(), text.end());
    CHECK(seen == padded.choices);
    // The first is greedy: the lowest of the most likely choices, and some id that is none is more likely somewhere.
    Tokens text = cases[0].prompt;
    size_t n_beaten = 0;
    for (const int32_t token : found[0]) {
      const std::vector<float> all = logits_of(model, text, {runnable_kernels().tables[0]});
      const auto row = std::span(all).last(37);
      const auto less = [&](int32_t a, int32_t b) { return row[static_cast<size_t>(a)] < row[static_cast<size_t>(b)]; };
      REQUIRE(token == *std::max_element(padded.choices.begin(), padded.choices.end(), less));
      n_beaten += *std::max_element(row.begin(), row.end()) > row[static_cast<size_t>(token)];
      text.push_back(token);
    }
    CHECK(n_beaten > 0);
  }
}

TEST_CASE("choices: drafts and look-up leave the texts as they are, and propose choices only") {
  for (const Padded& padded : kPadded) {
    CAPTURE(padded.vocabulary);
    const Model model = padded_model(padded), other = padded_model(padded, 6);
    const std::vector<SpecCase> cases = cases_of(padded);
    const std::vector<Tokens> expected = texts(model, cases, 1, 1, nullptr);
    for (const Model* draft : {&model, &other}) {
      SpeculationOptions options;
      options.draft = draft;
      options.lookup = draft == &other;
      options.lookup_match = 1;
      options.policy = DraftPolicy::force;
      SpeculationStats stats;
      CHECK(texts(model, cases, 2, 3, &options, &stats) == expected);
      // The model is a perfect draft of itself, but for what it proposes behind an end; one that proposed what is never
      // chosen would not be.
      if (draft == &model && *padded.ends == '\0') CHECK(stats.accepted[1] == stats.drafted[1]);
    }
  }
}

TEST_CASE("choices: log-probabilities are of the whole softmax; best, rank and the most likely are of choices alone") {
  for (const Padded& padded : kPadded) {
    CAPTURE(padded.vocabulary);
    const Model model = padded_model(padded);
    const Tokens text = {0, 36, 7, 20, 2, 5, 8, 3, 30, 1};
    Submission submission;
    submission.prompt = text;
    submission.request.scores = {1, true, {}};
    submission.request.n_logprobs = 5;
    submission.request.max_new_tokens = 2;
    submission.request.ignore_eos = true;
    submission.request.sampling.greedy = true;
    BatcherOptions options;
    options.engine.kernels = runnable_kernels().tables[0];
    Batcher batcher(model, options);
    batcher.submit(submission);
    const std::vector<float> logits = logits_of(model, text, {runnable_kernels().tables[0]});
    const size_t n_top = std::min<size_t>(5, padded.choices.size());
    const auto row_of = [&](size_t i) { return std::span(logits).subspan(i * 37, 37); };
    const auto check_top = [&](std::span<const TokenLogprob> top, std::span<const float> row) {
      REQUIRE(top.size() == n_top);
      for (size_t k = 0; k < n_top; ++k) {
        CHECK(padded.choices.contains(top[k].token));
        CHECK(top[k].logprob == static_cast<float>(row[static_cast<size_t>(top[k].token)] - log_sum_exp(row)));
        if (k > 0) CHECK(top[k].logprob <= top[k - 1].logprob);
      }
    };
    size_t n_scores = 0, n_tokens = 0;
    while (batcher.unfinished() > 0) {
      for (const Event& event : batcher.step()) {
        for (size_t i = 0; i < event.scores.size(); ++i, ++n_scores) {
          const TokenScore& score = event.scores[i];
          const auto row = row_of(score.index - 1);
          const float own = row[static_cast<size_t>(score.token)];
          CHECK(score.logprob == own - log_sum_exp(row));
          const auto above = std::count_if(padded.choices.begin(), padded.choices.end(), [&](int32_t id) {
            return row[static_cast<size_t>(id)] > own;
          });
          CHECK(score.rank == 1 + above);
          const auto top = event.score_top.subspan(i * n_top, n_top);
          check_top(top, row);
          CHECK(score.best.token == top[0].token);
          CHECK(score.best.logprob == top[0].logprob);
        }
        if (!event.token) continue;
        if (n_tokens++ == 0) {
          check_top(event.top, row_of(text.size() - 1));
          CHECK(event.top[0].token == *event.token);
          CHECK(event.logprob == event.top[0].logprob);
        }
      }
    }
    CHECK(n_scores == text.size() - 1);
    CHECK(n_tokens == 2);
  }
}

TEST_CASE("choices: a logit of padding that is not finite ends a text as any other does") {
  const Padded& padded = kPadded[0];
  FixtureShape shape;
  shape.n_vocab = 37;
  CheckpointFixture fixture = make_checkpoint(shape, 5);
  fixture.vocab_json = padded.vocabulary;
  std::vector<float>& wte = fixture.tensors.at("wte.weight");
  std::fill_n(wte.begin() + 35 * shape.n_embd, shape.n_embd, 3e38f);  // its product is none
  const Model model = convert_fixture(fixture);
  BatcherOptions options;
  options.engine.kernels = runnable_kernels().tables[0];
  Batcher batcher(model, options);
  Submission submission;
  submission.prompt = {0, 1};
  submission.request.max_new_tokens = 5;
  submission.request.sampling.greedy = true;
  batcher.submit(submission);
  const std::span<const Event> events = batcher.step();
  REQUIRE(events.size() == 1);
  CHECK(events[0].finish == FinishReason::nonfinite);
}
