#include "tests/fuzz/measure_targets.h"

#include <algorithm>
#include <cmath>

#include "src/io/json.h"
#include "src/measure/golden.h"
#include "src/measure/tasks.h"
#include "tests/fuzz/expect.h"

namespace gpt2::fuzz {
namespace {

// -- a line as a record of every task: a question that is accepted has a right answer among two or more, or one continuation --

void run_record_of_task(Task task, const Json& record) {
  accepts([&] {
    const Example example = make_example(task, record, " ", "fuzz:1: ");
    const size_t n = example.pairs.size();
    require(task == Task::lambada ? n == 1 && example.choices.empty() : n >= 2 && example.choices.size() == n, "other choices than pairs");
    require(example.label < n, "a right answer that is none");
    for (const TextPair& pair : example.pairs) {
      const TextPair both = joined(example.shot, pair);
      require(both.context + both.continuation == example.shot + pair.context + pair.continuation, "texts that are not those joined");
    }
    for (const std::string& choice : example.choices) require(count_characters(choice) <= choice.size(), "more characters than bytes");
  }, {ExitCode::input});
}

void run_tasks(std::string_view input) {
  for (size_t begin = 0; begin < input.size();) {
    const size_t end = std::min(input.find('\n', begin), input.size());
    Json record;
    if (!read_json(input.substr(begin, end - begin), record)) {
      for (const Task task : {Task::choices, Task::lambada, Task::hellaswag, Task::piqa, Task::winogrande, Task::arc}) run_record_of_task(task, record);
    }
    begin = end + 1;
  }
}

std::vector<std::string> tasks_seeds() {
  return {R"({"text":"He said  good bye."})",
          R"({"goal":"How?","sol1":"So.","sol2":"Or so.","label":1})",
          R"({"question":"How?","choices":{"text":["a","b","c"],"label":["A","B","C"]},"answerKey":"C"})",
          R"({"question":{"stem":"How?","choices":[{"text":"a","label":"1"},{"text":"b","label":"2"}]},"answerKey":"1"})",
          R"({"sentence":"The _ fell, as _ do. ","option1":"cup","option2":"hat","answer":"2"})",
          R"({"activity_label":"Sewing [a]","ctx_a":" A man.","ctx_b":"he SEWS. ÀΣЖ","label":"1","endings":["[header] Go [title] Now  then."," [x [y] z]\n[a\nb] "]})",
          R"({"context":"1 + 1 =","choices":["2","3"],"label":"3"})"};
}
std::vector<std::string> tasks_words() {
  return {"\"text\":", "\"label\":", "\"choices\":", "\"answerKey\":", "\"endings\":[", "\"sentence\":", "\"_\"", "[title]", "[header]", "\\u00a0", "\\u2028", "\\ud800", "null", "-1",
          "18446744073709551615", "\n", "[", "]", "{", "}"};
}

// -- logits: what is accepted fits the model, and each row is finite or refused --

void run_golden(std::string_view input) {
  Config config;
  config.n_ctx = 4;
  config.n_vocab = 3;
  accepts([&] {
    for (const GoldenText& text : read_golden(std::as_bytes(std::span(input)), "fuzz", config)) {
      require(!text.tokens.empty() && text.tokens.size() <= config.n_ctx, "more tokens than positions");
      for (const int32_t token : text.tokens) require(token >= 0 && static_cast<uint32_t>(token) < config.n_vocab, "a token past the vocabulary");
      require(text.n_vocab == config.n_vocab && (text.n_rows == 1 || text.n_rows == text.tokens.size()), "rows of another shape");
      std::vector<double> logits(text.n_vocab);
      for (size_t i = 0; i < text.n_rows; ++i) {
        text.read_row(i, logits);
        for (const double logit : logits) require(std::isfinite(static_cast<float>(logit)), "a logit that is no float");
      }
    }
  }, {ExitCode::input, ExitCode::model});
}

std::string golden_tensors(const std::string& tokens_type, const std::string& logits_type, size_t token_size, size_t logit_size) {
  const size_t tokens = 2 * token_size, end = tokens + 6 * logit_size;
  const std::string header = R"({"tokens.0":{"dtype":")" + tokens_type + R"(","shape":[2],"data_offsets":[0,)" + std::to_string(tokens) +
                             R"(]},"logits.0":{"dtype":")" + logits_type + R"(","shape":[2,3],"data_offsets":[)" + std::to_string(tokens) + "," +
                             std::to_string(end) + "]}}";
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  return length + header + std::string(end, '\0');
}

std::vector<std::string> golden_seeds() {
  return {R"({"tokens":[0,2],"logits":[[1,2.5,-3e2],[0,0,1]]})" "\n" R"({"tokens":[1],"logits":[18446744073709551615,0,1]})",
          golden_tensors("I64", "F64", 8, 8), golden_tensors("I32", "F32", 4, 4)};
}
std::vector<std::string> golden_words() {
  return {"\"tokens\":[", "\"logits\":[", "[[", "1e39", "-1e309", "null", "\"I32\"", "\"I64\"", "\"F32\"", "\"F64\"", "\"shape\":[", "\"data_offsets\":[", "4294967296",
          "18446744073709551615", "-1", std::string("\x00\x00\xC0\x7F", 4), std::string("\xFF\xFF\xFF\xFF", 4)};
}

}  // namespace

const Target kTasksTarget = {"tasks", run_tasks, tasks_seeds, tasks_words};
const Target kGoldenTarget = {"golden", run_golden, golden_seeds, golden_words};

}  // namespace gpt2::fuzz
