// Records of an input of many prompts: what is read from a line, where a fault stands, and the order of results.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "src/base/error.h"
#include "src/engine/noise.h"
#include "src/io/json.h"
#include "tests/fixtures.h"
#include "tests/support.h"
#include "tools/made_from.h"
#include "tools/record.h"
#include "tools/record_run.h"
#include "tools/reorder_window.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

Record parse(std::string_view text, RequestArguments defaults = {}) {
  defaults.seed = 3;
  return RecordParser(books(), defaults, RecordFormat::jsonl, false, "in").parse(text, {7, 9});
}

std::string message_of(std::string_view text) {
  const Record record = parse(text);
  REQUIRE(record.failure.has_value());
  CHECK(record.failure->code == ExitCode::input);
  return record.failure->message;
}

}  // namespace

TEST_CASE("records: keys count for their record, the command line for the rest") {
  RequestArguments defaults;
  defaults.max_new_tokens = 11;
  defaults.stops = {"x"};
  const Record plain = parse(R"({"prompt":"a"})", defaults);
  CHECK(!plain.failure);
  CHECK(plain.id == "7");
  CHECK(plain.request.max_new_tokens == 11);
  CHECK(plain.request.seed == record_seed(3, 7) >> 11);
  CHECK(plain.arguments.stops == std::vector<std::string>{"x"});
  const Record own = parse(R"( {"id":"\u00e9","tokens":[1,2],"seed":18446744073709551615,"stop":["p","q"],"top_k":4,"ignore_eos":true,
                               "logit_bias":{"5":-1.5},"samples":3} )", defaults);
  CHECK(!own.failure);
  CHECK(own.id == "\"\xC3\xA9\"");
  CHECK(own.prompt == std::vector<int32_t>{1, 2});
  CHECK(own.request.seed == 18446744073709551615u);
  CHECK(own.arguments.stops == std::vector<std::string>{"p", "q"});
  CHECK(own.request.sampling.top_k == 4);
  CHECK(own.request.ignore_eos);
  REQUIRE(own.request.sampling.logit_bias.size() == 1);
  CHECK(own.request.sampling.logit_bias[0].bias == -1.5f);
  CHECK(own.arguments.n_samples == 3);
}

TEST_CASE("records: a record leaves nothing behind for the next") {
  RequestArguments defaults;
  RecordParser parser(books(), defaults, RecordFormat::jsonl, false, "in");
  parser.parse(R"({"prompt":"a","top_k":4,"stop":"b","forbid_token":[1,2],"seed":5,"greedy":true,"n":1})", {0, 1});
  const Record next = parser.parse(R"({"prompt":"a"})", {1, 2});
  CHECK(next.request.sampling.top_k == 50);
  CHECK(next.request.sampling.forbidden.empty());
  CHECK(!next.request.sampling.greedy);
  CHECK(next.arguments.stops.empty());
  CHECK(next.request.seed == record_seed(0, 1) >> 11);
}

TEST_CASE("records: faults name line and column") {
  CHECK(message_of(R"({"prompt":"a","foo":1})") == "in:9:15: unknown key \"foo\"");
  CHECK(message_of(R"({"x\"y:":1})").starts_with("in:9:2: unknown key"));
  CHECK(message_of(R"({"prompt":"\"a\":1","top_k": "z"})").starts_with("in:9:21: \"top_k\": expected a whole number"));
  CHECK(message_of(R"({"logit_bias":{"1":2,"b":3},"prompt":""})").starts_with("in:9:22: \"logit_bias\""));
  CHECK(message_of("").starts_with("in:9:1: expected valid JSON"));
}

TEST_CASE("json: the place of what is no JSON") {
  struct Case {
    std::string_view text;
    size_t offset;
  };
  constexpr Case kCases[] = {{"", 0}, {"[1,]", 3}, {"{\"a\" 1}", 5}, {"{\"a\":1", 6}, {"[01]", 2}, {"[1.]", 3}, {"\"a\\x\"", 3}, {"tru", 3},
                             {"[\"\\ud800x\"]", 8}, {"\"\xC3\"", 1}, {"[1] 2", 4}, {"[1e999]", 1}, {"[\"a\nb\"]", 3}};
  for (const Case& c : kCases) {
    Json json;
    const auto fault = read_json(c.text, json);
    CAPTURE(c.text);
    REQUIRE(fault.has_value());
    CHECK(fault->offset == c.offset);
  }
  Json json;
  REQUIRE(!read_json("[18446744073709551616]", json));  // past every integer type: a real
  CHECK(json.array[0].kind == Json::Kind::real);
  CHECK(json.array[0].real == 18446744073709551616.0);
  REQUIRE(!read_json(R"({"a":{"b":"c:\"","d" : [{"e":1}]},"f":2})", json));
  CHECK(json.object[0].second.object[1].second.array[0].object[0].offset == 25);
  CHECK(json.object[1].offset == 34);
}

TEST_CASE("records: the window writes in order, or as things are done") {
  std::string out;
  const auto write = [&](std::string_view text) { out += text; };
  ReorderWindow window(ReorderWindow::Order::of_input, write);
  for (uint64_t i = 0; i < 4; ++i) CHECK(window.expect() == i);
  window.put(2, "c");
  window.put(1, "b");
  CHECK(out.empty());
  CHECK(window.waiting_bytes() == 2);
  window.put(0, "a");
  CHECK(out == "abc");
  CHECK(window.expected() == 1);
  CHECK(window.waiting_bytes() == 0);
  window.put(3, "d");
  CHECK(window.expect() == 4);
  window.put(4, "e");
  CHECK(out == "abcde");
  ReorderWindow free(ReorderWindow::Order::of_completion, write);
  free.expect();
  free.expect();
  free.put(1, "y");
  CHECK(free.expected() == 1);
  free.put(0, "x");
  CHECK(out == "abcdeyx");
}

TEST_CASE("records: texts of a line and of NUL") {
  CHECK(result_text("a\\b\n\r\t\x01\x7F\xC3\xA9", RecordFormat::lines) == "a\\\\b\\n\\r\\t\\x01\\x7F\xC3\xA9\n");
  CHECK(result_text("a\nb", RecordFormat::null) == std::string("a\nb\0", 4));
}

TEST_CASE("records: a result says what it was made from: any option, the prompt, the seed and the model change it, id and index do not") {
  const auto key = [](std::string_view text, std::string_view basis = "model", uint64_t index = 7) {
    RequestArguments defaults;
    defaults.seed = 3;
    const Record record = RecordParser(books(), defaults, RecordFormat::jsonl, false, "in").parse(text, {index, 9});
    CHECK(!record.failure);
    return made_from(basis, record, text);
  };
  const uint64_t plain = key(R"({"prompt":"a","seed":1})");
  CHECK(key(R"({"seed":1,"id":"x","prompt":"a"})", "model", 8) == plain);
  const std::set<uint64_t> others = {key(R"({"prompt":"b","seed":1})"), key(R"({"prompt":"a","seed":2})"), key(R"({"prompt":"a","seed":1})", "other")};
  CHECK(others.size() == 3);
  CHECK(!others.contains(plain));
  CHECK(key(R"({"prompt":"a","greedy":true,"seed":1})") == key(R"({"prompt":"a","greedy":true,"seed":2})"));
  CHECK(key(R"({"prompt":"a"})", "model", 7) != key(R"({"prompt":"a"})", "model", 8));  // their seeds differ

  // A value for each option that a record can have, so that one that comes later is not forgotten.
  const std::map<std::string, std::string> kValues = {
      {"special", "true"}, {"on_overflow", "\"slide\""}, {"keep", "2"}, {"max_new_tokens", "3"}, {"ignore_eos", "true"}, {"stop", "\"x\""},
      {"include_stop", "true"}, {"samples", "2"}, {"seed", "5"}, {"logprobs", "0"}, {"logit_bias", "{\"5\":1}"}, {"repetition_penalty", "2"}, {"frequency_penalty", "0.5"}, {"presence_penalty", "0.5"},
      {"no_repeat_ngram", "2"}, {"min_new_tokens", "2"}, {"forbid_token", "5"}, {"greedy", "true"}, {"temperature", "2"}, {"top_k", "3"},
      {"top_p", "0.5"}, {"min_p", "0.5"}, {"typical_p", "0.5"}};
  RequestArguments arguments;
  std::set<uint64_t> keys = {key(R"({"prompt":"a"})")};
  for (const Option& option : arguments.options()) {
    std::string name = split_names(option.names).back().substr(2);
    std::replace(name.begin(), name.end(), '-', '_');
    CAPTURE(name);
    REQUIRE(kValues.contains(name));
    CHECK(keys.insert(key("{\"prompt\":\"a\",\"" + name + "\":" + kValues.at(name) + "}")).second);
  }
}

TEST_CASE("records: what can be the beginning of a result") {
  Record record;
  record.id = R"("a\"b")";
  record.index = 12;
  record.made_from = 0x1234;
  record.failure = {ExitCode::input, "no\nnews"};
  const std::string line = failure_json(record, std::nullopt), whole = line.substr(0, line.size() - 1);
  for (size_t n = 0; n <= whole.size(); ++n) CHECK(begins_result(whole.substr(0, n)));
  for (const char* other : {"x", "{\"i\":", "{\"id\":x", "{\"id\":3,\"sample\"", "{\"id\":3,\"index\":x",
                            "{\"id\":3,\"index\":3,\"text\":", "{\"id\":\"a\nb", "{\"id\":3,\"index\":3,\"samples"}) {
    CAPTURE(other);
    CHECK_FALSE(begins_result(other));
  }
}

TEST_CASE("records: results that are there take memory for their number, whatever they say") {
  const std::string path = temp_dir() + "/results";
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "{\"id\":" + std::to_string(i) + ",\"index\":" + std::to_string(i) + ",\"made_from\":\"0000000000000000\",\"sample\":4294967295}\n";
  }
  write_file(path, text);
  FinishedResults finished;
  CHECK(finished.read(path) == text.size());
  CHECK(failure_of([&] { finished.take({0, "0", 0, 1}); }).message.find("sample 4294967295") != std::string::npos);
  write_file(path, text + text);
  CHECK(failure_of([&] { FinishedResults().read(path); }).message.find(":1001: expected each result once") != std::string::npos);
}
