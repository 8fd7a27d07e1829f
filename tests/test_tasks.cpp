// Tasks: the texts that a record becomes (those of lm-evaluation-harness 0.4.13, scripts/lm_eval_proof.py), what it
// refuses, log-probabilities of continuations against single texts, and the figures.
#include <doctest/doctest.h>

#include <cmath>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"
#include "src/measure/task_figures.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

Example example_of(Task task, std::string_view record, std::string_view delimiter = " ") {
  return make_example(task, parse_json(record, "record"), delimiter, "tasks.jsonl:7: ");
}

void check_pairs(const Example& example, const std::vector<TextPair>& expected, std::string_view shot) {
  REQUIRE(example.pairs.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(example.pairs[i].context == expected[i].context);
    CHECK(example.pairs[i].continuation == expected[i].continuation);
  }
  CHECK(example.shot == shot);
}

Batcher make_batcher(const Model& model, uint32_t slots) {
  BatcherOptions options;
  options.engine.kernels = runnable_kernels().tables[0];
  options.engine.max_slots = slots;
  options.engine.prefill_chunk = 24;
  return Batcher(model, options);
}

// The sum over the logits of the text alone.
double plain_logprob(const Model& model, const Continuation& one) {
  RunOptions options;
  options.kernels = runnable_kernels().tables[0];
  const std::vector<int32_t>& tokens = one.tokens;
  const std::vector<float> logits = logits_of(model, std::span(tokens).first(tokens.size() - 1), options);
  const size_t n_vocab = model.config().n_vocab;
  double sum = 0;
  for (size_t i = one.first; i < tokens.size(); ++i) {
    const auto row = std::span(logits).subspan((i - 1) * n_vocab, n_vocab);
    sum += row[static_cast<size_t>(tokens[i])] - log_sum_exp(row);
  }
  return sum;
}

}  // namespace

TEST_CASE("tasks: a record becomes the harness's texts") {
  const std::string question = "Question: How?\nAnswer:";
  check_pairs(example_of(Task::lambada, R"({"text":"He said  good bye."})"), {{"He said  good", " bye."}},
              "He said  good  bye.\n\n");
  check_pairs(example_of(Task::lambada, R"({"text":"Alone"})"), {{"", " Alone"}}, "  Alone\n\n");
  check_pairs(example_of(Task::piqa, R"({"goal":"How?","sol1":"So.","sol2":"Or so.","label":1})"),
              {{question, " So."}, {question, " Or so."}}, question + " Or so.\n\n");
  const std::string hub =
      R"({"question":"How?","choices":{"text":["a","b","c"],"label":["A","B","C"]},"answerKey":"C"})";
  const std::string own =
      R"({"question":{"stem":"How?","choices":[{"text":"a","label":"1"},{"text":"b","label":"2"}]},"answerKey":"1"})";
  check_pairs(example_of(Task::arc, hub), {{question, " a"}, {question, " b"}, {question, " c"}}, question + " c\n\n");
  check_pairs(example_of(Task::arc, own), {{question, " a"}, {question, " b"}}, question + " a\n\n");
  const std::string blank =
      R"({"sentence":"The _ fell, as _ do. ","option1":"cup","option2":"hat","answer":"2"})";
  check_pairs(example_of(Task::winogrande, blank), {{"The cup", " fell, as _ do."}, {"The hat", " fell, as _ do."}},
              "The hat fell, as _ do.\n\n");
  const std::string swag = R"({"activity_label":"Sewing [a]","ctx_a":" A man sits.","ctx_b":"he SEWS. ÀΣЖ",)"
                           R"("label":"1","endings":["[header] Go [title] Now  then.","  [x [y] z]\n[a\nb] "]})";
  check_pairs(example_of(Task::hellaswag, swag),
              {{"Sewing : A man sits. He sews. àσж", "  Go. Now then."},
               {"Sewing : A man sits. He sews. àσж", "  z]\n[a\nb]"}},
              "Sewing : A man sits. He sews. àσж  z]\n[a\nb]\n\n");
  check_pairs(example_of(Task::choices, R"({"context":"1 + 1 =","choices":["2","3"],"label":"3"})", ""),
              {{"1 + 1 =", "2"}, {"1 + 1 =", "3"}}, "1 + 1 =3\n\n");
}

TEST_CASE("tasks: white space at a context's end belongs to the continuation") {
  const TextPair pair = joined("Shot.\n\n", {"Text \xe2\x80\x83\n", " more"});
  CHECK(pair.context == "Shot.\n\nText");
  CHECK(pair.continuation == " \xe2\x80\x83\n more");
  CHECK(joined("", {" \t", "x"}).context.empty());
  CHECK(count_characters("a\xc3\xa9\xe2\x80\x83") == 3);
}

TEST_CASE("tasks: what a record lacks is named") {
  const auto refused = [](Task task, std::string_view record, std::string_view word) {
    const Failure failure = failure_of([&] { example_of(task, record); });
    CHECK(failure.code == 4);
    CHECK(failure.message.starts_with("tasks.jsonl:7: "));
    CHECK_MESSAGE(failure.message.find(word) != std::string::npos, failure.message);
  };
  refused(Task::lambada, "[1]", "an object");
  refused(Task::lambada, R"({"words":"x"})", "\"text\"");
  refused(Task::lambada, R"({"text":3})", "text: expected text, found the number 3");
  refused(Task::piqa, R"({"goal":"a","sol1":"b","sol2":"c","label":2})", "label: expected a whole number below 2");
  refused(Task::piqa, R"({"goal":"a","sol1":"b","sol2":"c","label":"1x"})", "label");
  refused(Task::piqa, R"({"goal":"a","sol1":"b","sol2":"c","label":-1})", "label");
  refused(Task::winogrande, R"({"sentence":"no blank","option1":"a","option2":"b","answer":"1"})", "sentence");
  refused(Task::winogrande, R"({"sentence":"a _","option1":"a","option2":"b","answer":""})", "answer");
  refused(Task::arc, R"({"question":"a","choices":{"text":["a","b"],"label":["A"]},"answerKey":"A"})", "choices");
  refused(Task::arc, R"({"question":"a","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"C"})", "answerKey");
  refused(Task::arc, R"({"question":"a","choices":3,"answerKey":"C"})", "choices");
  refused(Task::hellaswag, R"({"activity_label":"a","ctx_a":"b","ctx_b":"c","endings":[],"label":0})", "label");
  refused(Task::choices, R"({"context":"a","choices":["b"],"label":0})", "at least 2");
  refused(Task::choices, R"({"context":"a","choices":["b",1],"label":0})", "choices");
}

TEST_CASE("tasks: continuations in a batch are worth what each is alone") {
  const Model& model = books();
  const std::vector<std::pair<TextPair, bool>> texts = {
      {{"The captain looked at the sea, and then at the", " sky."}, false},
      {{"The captain looked at the sea, and then at the", " the the"}, true},
      {{"The captain looked at the", " sea, and"}, true},
      {{"", "Once upon a time"}, false},
      {{"A", " ship"}, false},
      {{"A", " shipwreck"}, true}};
  std::vector<Continuation> all;
  for (const auto& [pair, together] : texts) {
    all.push_back(encode_pair(model, pair, "here: "));
    all.back().goes_together = together;
  }
  CHECK(all[3].first == 1);
  CHECK(all[3].tokens[0] == model.config().bos_token_id);
  for (const uint32_t slots : {1u, 2u, 8u}) {
    Batcher batcher = make_batcher(model, slots);
    const std::vector<ContinuationScore> scores = score_continuations(batcher, all, nullptr);
    for (size_t i = 0; i < all.size(); ++i) CHECK(scores[i].logprob == plain_logprob(model, all[i]));
  }
}

TEST_CASE("tasks: of what is longer than the context the beginning is left out") {
  const Model& model = books();
  std::string text = "It was";
  while (model.tokenizer().encode(text).size() < 300) text += " the best of times, it was the worst of times";
  const Continuation cut = encode_pair(model, {text, " indeed, sir."}, "here: ");
  const std::vector<int32_t> whole = model.tokenizer().encode(text + " indeed, sir.");
  CHECK(cut.tokens.size() == model.config().n_ctx + 1);
  CHECK(cut.n_cut == whole.size() - cut.tokens.size());
  CHECK(std::equal(cut.tokens.begin(), cut.tokens.end(), whole.begin() + cut.n_cut));
  CHECK(cut.first + cut.n_cut == model.tokenizer().encode(text).size());
  Batcher batcher = make_batcher(model, 2);
  CHECK(score_continuations(batcher, {&cut, 1}, nullptr)[0].logprob == plain_logprob(model, cut));
  CHECK(failure_of([&] { encode_pair(model, {"A", text}, "here: "); }).message.starts_with("here: expected a contin"));
  CHECK(failure_of([&] { encode_pair(model, {"A", ""}, "here: "); }).code == 4);
  CHECK(failure_of([&] { encode_pair(model, {"A", "n"}, "here: "); }).code == 4);  // "An" is one token
}

TEST_CASE("tasks: choices and figures") {
  Example example;
  example.choices = {"four", "tw", "\xc3\xa9\xc3\xa9\xc3\xa9"};
  example.pairs.resize(3);
  const std::vector<ContinuationScore> scores = {{-4, false}, {-3, false}, {-3.5, true}};
  const Judgement made = judge(example, scores);
  CHECK(made.choice == 1);
  CHECK(made.by_characters == 0);  // -1, -1.5, -1.17
  CHECK(made.by_bytes == 2);       // -1, -1.5, -0.58
  Example cloze;
  cloze.pairs.resize(1);
  CHECK(judge(cloze, std::span(scores).last(1)).choice == 0);
  CHECK(judge(cloze, std::span(scores).first(1)).choice == 1);
  const std::vector<double> values = {1, 0, 1, 1};
  CHECK(mean_of(values).value == 0.75);
  CHECK(*mean_of(values).standard_error == doctest::Approx(0.25));
  CHECK(!mean_of(std::span(values).first(1)).standard_error);
  // Python 3.11: random.seed(i), random.choices(xs, k=7), 1000 times for i in range(100)
  const std::vector<double> logprobs = {-3.5, -1.25, -7.0, -0.125, -2.75, -4.5, -9.25};
  for (const uint32_t threads : {1u, 3u}) {
    ThreadTeam team(threads);
    const Estimate perplexity = perplexity_of(logprobs, team);
    CHECK(std::abs(perplexity.value - 57.60281445484579) <= 1e-12);
    CHECK(std::abs(*perplexity.standard_error - 191.61175542182778) <= 1e-9);
  }
}
