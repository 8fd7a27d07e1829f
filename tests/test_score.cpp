// Scores of a text's own tokens: against plain loops over the logits, and the same bits however the text is driven.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "src/base/log_sum_exp.h"
#include "src/engine/batcher.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Scored {
  std::vector<TokenScore> scores;
  std::vector<TokenLogprob> top;
  FinishReason finish = FinishReason::running;
};

std::vector<int32_t> draw_text(Numbers& numbers, size_t n, uint64_t n_vocab) {
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(numbers.bits() % n_vocab);
  return tokens;
}

Submission scoring(uint64_t id, std::vector<int32_t> text, uint32_t first = 1) {
  Submission submission;
  submission.id = id;
  submission.prompt = std::move(text);
  submission.request.max_new_tokens = 0;
  submission.request.scores = {first, true, {}};
  submission.request.n_logprobs = 3;
  return submission;
}

BatcherOptions options_of(uint32_t threads, uint32_t slots, uint32_t chunk, size_t blocks = 0, size_t tier = 0) {
  BatcherOptions options;
  options.engine.kernels = runnable_kernels().tables[tier];
  options.engine.threads = threads;
  options.engine.max_slots = slots;
  options.engine.prefill_chunk = chunk;
  options.engine.kv_blocks = blocks;
  options.engine.prefix_cache = true;
  return options;
}

std::map<uint64_t, Scored> run(const Model& model, const BatcherOptions& options, const std::vector<Submission>& all) {
  Batcher batcher(model, options);
  std::map<uint64_t, Scored> results;
  for (const Submission& one : all) batcher.submit(one);
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      Scored& scored = results[event.id];
      REQUIRE(scored.finish == FinishReason::running);
      scored.scores.insert(scored.scores.end(), event.scores.begin(), event.scores.end());
      scored.top.insert(scored.top.end(), event.score_top.begin(), event.score_top.end());
      scored.finish = event.finish;
    }
  }
  return results;
}

bool same_bits(const Scored& a, const Scored& b) {
  const auto same = [](double x, double y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  const auto same_score = [&](const TokenScore& x, const TokenScore& y) {
    return x.index == y.index && x.token == y.token && same(x.logprob, y.logprob) && x.best.token == y.best.token &&
           same(x.best.logprob, y.best.logprob) && x.rank == y.rank && same(x.entropy, y.entropy) &&
           same(x.set_logprob, y.set_logprob);
  };
  const auto same_top = [&](const TokenLogprob& x, const TokenLogprob& y) {
    return x.token == y.token && same(x.logprob, y.logprob);
  };
  return a.finish == b.finish && a.scores.size() == b.scores.size() && a.top.size() == b.top.size() &&
         std::equal(a.scores.begin(), a.scores.end(), b.scores.begin(), same_score) &&
         std::equal(a.top.begin(), a.top.end(), b.top.begin(), same_top);
}

}  // namespace

TEST_CASE("score: log-probability, rank, entropy, set and the most likely are those of plain loops") {
  Numbers numbers(3);
  const std::vector<int32_t> text = draw_text(numbers, 90, 4096), set = {0, 5, 17, 400, 4095};
  const std::vector<float> logits = logits_of(books(), text, {runnable_kernels().tables[0]});
  Submission submission = scoring(1, text);
  submission.request.scores.set = set;
  const Scored scored = run(books(), options_of(1, 1, 256), {submission})[1];
  REQUIRE(scored.scores.size() == text.size() - 1);
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    CAPTURE(i);
    const std::span<const float> row(&logits[i * 4096], 4096);
    long double sum = 0, entropy = 0, of_set = 0;
    for (const float x : row) sum += std::exp(static_cast<long double>(x));
    for (const float x : row) entropy -= std::exp(static_cast<long double>(x)) / sum * (x - std::log(sum));
    for (const int32_t id : set) of_set += std::exp(static_cast<long double>(row[static_cast<size_t>(id)])) / sum;
    const TokenScore& score = scored.scores[i];
    const float own = row[static_cast<size_t>(text[i + 1])];
    const auto above = std::count_if(row.begin(), row.end(), [&](float x) { return x > own; });
    const auto best = std::max_element(row.begin(), row.end());
    CHECK(score.index == i + 1);
    CHECK(score.token == text[i + 1]);
    REQUIRE(std::abs(score.logprob - static_cast<double>(own - std::log(sum))) <= 1e-10);
    REQUIRE(std::abs(score.entropy - static_cast<double>(entropy)) <= 1e-9);
    REQUIRE(std::abs(score.set_logprob - static_cast<double>(std::log(of_set))) <= 1e-10);
    CHECK(score.rank == above + 1);
    CHECK(score.best.token == best - row.begin());
    CHECK(scored.top[3 * i].token == score.best.token);
    CHECK(scored.top[3 * i].logprob == score.best.logprob);
    std::vector<float> sorted(row.begin(), row.end());
    std::partial_sort(sorted.begin(), sorted.begin() + 3, sorted.end(), std::greater<>());
    for (size_t k = 0; k < 3; ++k) CHECK(row[static_cast<size_t>(scored.top[3 * i + k].token)] == sorted[k]);
  }
}

TEST_CASE("score: of equal logits the lowest id comes first") {
  const std::vector<float> logits = {1, 3, 3, 0, 3};
  Scorer scorer(5);
  const Argmax best = {1, 3, true};
  std::vector<TokenLogprob> top(5);
  const ScoreRequest request = {1, true, {}};
  CHECK(scorer.score(logits, 1, best, request, top).rank == 1);
  CHECK(scorer.score(logits, 2, best, request, top).rank == 2);
  CHECK(scorer.score(logits, 4, best, request, top).rank == 3);
  CHECK(scorer.score(logits, 0, best, request, top).rank == 4);
  const std::vector<int32_t> order = {1, 2, 4, 0, 3};
  for (size_t i = 0; i < 5; ++i) CHECK(top[i].token == order[i]);
}

// GPT2_SCORE_TEXTS: how many.
TEST_CASE("score: a text has the same bits together and alone, over threads, chunks, blocks and kernels") {
  const char* wanted = std::getenv("GPT2_SCORE_TEXTS");
  const uint64_t n = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 14;
  Numbers numbers(11);
  std::vector<Submission> all;
  std::map<uint64_t, Scored> expected;
  for (uint64_t id = 0; id < n; ++id) {
    std::vector<int32_t> text = draw_text(numbers, 2 + numbers.bits() % 140, 4096);
    const auto first = static_cast<uint32_t>(1 + numbers.bits() % (text.size() - 1));
    Submission one = scoring(id, text, id % 3 == 0 ? first : 1);
    if (id % 4 == 1 && first > 1) {  // begins as the one before it does
      Submission& before = all.back();
      std::copy_n(before.prompt.begin(), std::min<size_t>(before.prompt.size(), first), one.prompt.begin());
      one.n_shared = static_cast<uint32_t>(std::min<size_t>(before.prompt.size(), first));
      one.request.scores.first = std::max(one.n_shared, 1u);
    }
    Submission alone = one;
    alone.n_shared = 0;
    expected[id] = run(books(), options_of(1, 1, 256), {alone})[id];
    REQUIRE(expected[id].scores.size() == one.prompt.size() - one.request.scores.first);
    REQUIRE(expected[id].finish == FinishReason::length);
    all.push_back(std::move(one));
  }
  struct Way {
    uint32_t threads, slots, chunk;
    size_t blocks;
  };
  for (const Way& way : {Way{1, 32, 256, 0}, Way{2, 8, 100, 0}, Way{2, 5, 7, 9}, Way{3, 3, 33, 6}}) {
    std::map<uint64_t, Scored> found = run(books(), options_of(way.threads, way.slots, way.chunk, way.blocks), all);
    for (const auto& [id, scored] : expected) REQUIRE(same_bits(found[id], scored));
  }
  for (size_t tier = 1; tier < runnable_kernels().count; ++tier) {
    std::map<uint64_t, Scored> found = run(books(), options_of(2, 8, 64, 0, tier), all);
    for (const auto& [id, scored] : expected) REQUIRE(same_bits(found[id], scored));
  }
}

TEST_CASE("score: a text of one token more than the context is scored whole") {
  Numbers numbers(4);
  const uint32_t n_ctx = books().config().n_ctx;
  const std::vector<int32_t> text = draw_text(numbers, n_ctx + 1, 4096);
  const Scored scored = run(books(), options_of(1, 1, 100), {scoring(1, text)})[1];
  CHECK(scored.scores.size() == n_ctx);
  CHECK(scored.finish == FinishReason::length);
}

TEST_CASE("score: a prompt is scored beside its continuation, which is the same") {
  Numbers numbers(5);
  const std::vector<int32_t> text = draw_text(numbers, 70, 4096);
  Submission only = scoring(1, text), both = scoring(2, text), plain = scoring(3, text);
  both.request.max_new_tokens = plain.request.max_new_tokens = 9;
  both.request.ignore_eos = plain.request.ignore_eos = true;
  plain.request.scores = {};
  Batcher batcher(books(), options_of(1, 2, 32));
  std::map<uint64_t, Scored> found;
  std::map<uint64_t, std::vector<int32_t>> tokens;
  for (const Submission& one : {only, both, plain}) batcher.submit(one);
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      found[event.id].scores.insert(found[event.id].scores.end(), event.scores.begin(), event.scores.end());
      if (event.token) tokens[event.id].push_back(*event.token);
    }
  }
  REQUIRE(found[2].scores.size() == 69);
  CHECK(same_bits(found[1], found[2]));
  CHECK(found[3].scores.empty());
  CHECK(tokens[2].size() == 9);
  CHECK(tokens[2] == tokens[3]);
}

TEST_CASE("score: texts of one beginning compute it once") {
  Numbers numbers(6);
  const std::vector<int32_t> common = draw_text(numbers, 50, 4096);  // less than a block
  std::vector<Submission> all;
  for (uint64_t id = 1; id <= 4; ++id) {
    std::vector<int32_t> text = common;
    const std::vector<int32_t> end = draw_text(numbers, 5, 4096);
    text.insert(text.end(), end.begin(), end.end());
    all.push_back(scoring(id, text, 50));
    all.back().n_shared = id > 1 ? 50 : 0;
  }
  Batcher batcher(books(), options_of(1, 8, 256));
  for (const Submission& one : all) batcher.submit(one);
  while (batcher.unfinished() > 0) batcher.step();
  CHECK(batcher.stats().computed_rows == 54 + 3 * 5);
}

TEST_CASE("score: a row that is not finite ends the text after the scores before it") {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.tensors["wpe.weight"][48 * 5] = std::nanf("");
  const Model model = convert_fixture(fixture);
  const Scored scored = run(model, options_of(1, 1, 256), {scoring(1, std::vector<int32_t>(20, 1))})[1];
  CHECK(scored.finish == FinishReason::nonfinite);
  CHECK(scored.scores.size() == 5);
}
