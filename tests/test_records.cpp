// Records of an input of many prompts: what is read from a line, where a fault stands, and the order of results.
#include <doctest/doctest.h>

#include "src/base/error.h"
#include "src/engine/noise.h"
#include "src/io/json.h"
#include "tests/fixtures.h"
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
                             {"[\"\\ud800x\"]", 8}, {"\"\xC3\"", 1}, {"[1] 2", 4}, {"[18446744073709551616]", 1}, {"[\"a\nb\"]", 3}};
  for (const Case& c : kCases) {
    Json json;
    const auto fault = read_json(c.text, json);
    CAPTURE(c.text);
    REQUIRE(fault.has_value());
    CHECK(fault->offset == c.offset);
  }
  Json json;
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
