// Perplexity and divergence: against float64 goldens, and against plain loops over the logits.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"
#include "src/io/json.h"
#include "src/measure/evaluation.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

EvalOptions options_of(uint32_t window, uint32_t stride, uint32_t threads = 1) {
  EvalOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.threads = threads;
  options.window = window;
  options.stride = stride;
  return options;
}

long double plain_log_sum_exp(std::span<const float> x) {
  long double max = x[0], sum = 0;
  for (const float value : x) max = std::max<long double>(max, value);
  for (const float value : x) sum += std::exp(value - max);
  return max + std::log(sum);
}

long double plain_kl(std::span<const float> reference, std::span<const float> logits) {
  const long double p_sum = plain_log_sum_exp(reference), q_sum = plain_log_sum_exp(logits);
  long double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const long double log_p = reference[i] - p_sum, log_q = logits[i] - q_sum;
    kl += std::exp(log_p) * (log_p - log_q);
  }
  return kl;
}

bool near(double got, long double expected, double tolerance) {
  return std::abs(got - static_cast<double>(expected)) <= tolerance * std::max(1.0, std::abs(static_cast<double>(expected)));
}

}  // namespace

TEST_CASE("eval: log-sum-exp and divergence of a row are those of plain loops") {
  for (const size_t n : {1u, 3u, 7u, 8u, 9u, 50257u}) {
    for (const float scale : {0.01f, 3.0f, 60.0f, 5000.0f}) {  // 5000: most exps are beyond every double
      Numbers numbers(n);
      std::vector<float> p(n), q(n);
      for (size_t i = 0; i < n; ++i) {
        p[i] = numbers.next(scale) - 100;
        q[i] = p[i] + numbers.next(0.1f);
      }
      REQUIRE(near(log_sum_exp(p), plain_log_sum_exp(p), 1e-12));
      REQUIRE(near(kl_divergence(p, q), plain_kl(p, q), 1e-11));
      CHECK(kl_divergence(p, p) == 0.0);
    }
  }
}

TEST_CASE("eval: windows score every token but the first once, with the context that they promise") {
  for (const uint32_t window : {2u, 3u, 8u, 64u}) {
    for (uint32_t stride = 1; stride < window; stride += 1 + stride / 3) {
      for (const size_t n : {2u, 3u, 8u, 9u, 63u, 64u, 65u, 200u}) {
        size_t scored = 1;
        for (const EvalWindow& w : eval_windows(n, window, stride)) {
          REQUIRE(w.first_scored == scored);
          REQUIRE(w.begin < w.first_scored);
          REQUIRE(w.first_scored < w.end);
          REQUIRE(w.end - w.begin <= window);
          if (w.begin > 0) REQUIRE(w.first_scored - w.begin == window - stride);
          scored = w.end;
        }
        REQUIRE(scored == n);
      }
    }
  }
  CHECK(eval_windows(1, 8, 4).empty());
}

TEST_CASE("eval: books' likelihood of a passage is within 1e-6 of float64") {
  const Json golden = parse_json(read_file(source_path("tests/data/books_perplexity.json")), "books_perplexity.json");
  std::vector<int32_t> ids;
  for (const Json& id : golden.find("ids")->array) ids.push_back(static_cast<int32_t>(id.integer));
  const std::string& text = golden.find("text")->string;
  CHECK(books().tokenizer().encode(text) == ids);
  CHECK(count_words(text) == static_cast<uint64_t>(golden.find("words")->integer));
  CHECK(text.size() == static_cast<size_t>(golden.find("bytes")->integer));
  for (const Json& c : golden.find("cases")->array) {
    const auto window = static_cast<uint32_t>(c.find("window")->integer);
    const auto stride = static_cast<uint32_t>(c.find("stride")->integer);
    const Evaluation evaluation = evaluate(books(), nullptr, ids, options_of(window, stride));
    CHECK(evaluation.n_scored == ids.size() - 1);
    REQUIRE(near(evaluation.nll, c.find("nll")->real, 1e-6));
  }
}

TEST_CASE("eval: the divergence of two models is that of their logits") {
  const Model model = convert_fixture(make_checkpoint({})), reference = convert_fixture(make_checkpoint({}, 2));
  std::vector<int32_t> tokens;
  Numbers numbers(5);
  for (size_t i = 0; i < 70; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % 3));
  const RunOptions run = {runnable_kernels().tables[0]};
  const std::vector<float> q = logits_of(model, tokens, run), p = logits_of(reference, tokens, run);
  long double sum = 0, max = 0;
  size_t n_same = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const std::span<const float> p_row(&p[i * 3], 3), q_row(&q[i * 3], 3);
    sum += plain_kl(p_row, q_row);
    max = std::max(max, plain_kl(p_row, q_row));
    n_same += std::max_element(p_row.begin(), p_row.end()) - p_row.begin() ==
              std::max_element(q_row.begin(), q_row.end()) - q_row.begin();
  }
  const Evaluation evaluation = evaluate(model, &reference, tokens, options_of(80, 40));
  REQUIRE(evaluation.divergence.has_value());
  REQUIRE(near(evaluation.divergence->mean, sum / (tokens.size() - 1), 1e-11));
  REQUIRE(near(evaluation.divergence->max, max, 1e-11));
  CHECK(evaluation.divergence->n_same_top == n_same);
  CHECK((n_same > 0 && n_same < tokens.size() - 1));
}

TEST_CASE("eval: the figures have the same bits whatever the threads") {
  std::vector<int32_t> tokens;
  Numbers numbers(7);
  for (size_t i = 0; i < 400; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % 4096));
  const Evaluation expected = evaluate(books(), &books(), tokens, options_of(256, 100));
  for (const uint32_t threads : {2u, 3u, 7u}) {
    CHECK(evaluate(books(), &books(), tokens, options_of(256, 100, threads)).nll == expected.nll);
  }
  CHECK(expected.divergence->max == 0.0);
  CHECK(expected.divergence->n_same_top == tokens.size() - 1);
}

TEST_CASE("eval: a damaged model is an error that names the token") {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.tensors["wpe.weight"][48 * 5] = std::nanf("");
  const Model model = convert_fixture(fixture);
  const std::vector<int32_t> tokens(20, 1);
  const Failure failure = failure_of([&] { evaluate(model, nullptr, tokens, options_of(80, 40)); });
  CHECK(failure.code == 3);
  CHECK(failure.message.find("after token 5 ") != std::string::npos);
}

TEST_CASE("eval: words are counted as wc counts them") {
  CHECK(count_words("") == 0);
  CHECK(count_words(" \n\t ") == 0);
  CHECK(count_words("one") == 1);
  CHECK(count_words("  one, two\nthree\t\xC3\xA9 ") == 4);
}

TEST_CASE("eval: tokenizers are compared by their ids") {
  CheckpointFixture other = make_checkpoint({});
  other.vocab_json = R"({"a":0,"c":1,"ac":2})";
  other.merges_txt = "#version: 0.2\na c\n";
  const Model a = convert_fixture(make_checkpoint({})), b = convert_fixture(other);
  CHECK_FALSE(first_difference(a.tokenizer(), a.tokenizer()).has_value());
  CHECK(first_difference(a.tokenizer(), b.tokenizer()) == std::optional<size_t>(1));
}
