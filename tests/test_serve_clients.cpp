// Recorded requests of stock clients against the server, read as these clients read. Where a line of
// tests/data/clients/requests.jsonl comes from stands in it; those of lm-eval are as its 0.4.13 sent them.
#include <doctest/doctest.h>

#include <cmath>

#include "src/io/json.h"
#include "src/serve/server.h"
#include "tests/fixtures.h"
#include "tests/http_client.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// Returns the member; a null where there is none.
const Json& of(const Json& json, std::string_view key) {
  static const Json none;
  const Json* found = json.find(key);
  return found != nullptr ? *found : none;
}

std::string text_of(const Json& json) {
  switch (json.kind) {
    case Json::Kind::string: return json_quote(json.string);
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::real: return json_number(json.real);
    case Json::Kind::boolean: return json.boolean ? "true" : "false";
    case Json::Kind::array: {
      std::string list;
      for (const Json& one : json.array) list += (list.empty() ? "" : ",") + text_of(one);
      return "[" + list + "]";
    }
    case Json::Kind::object: {
      std::string list;
      for (const Json::Member& one : json.object) {
        list += (list.empty() ? "" : ",") + json_quote(one.first) + ":" + text_of(one.second);
      }
      return "{" + list + "}";
    }
    default: return "null";
  }
}

// As lm-eval's local-completions: choices by index, the last (generated) token is dropped, greedy where the token's own
// value is the largest. As its gguf: the text's offsets are characters, and keys are spelled as tokens.
void read_scores(const Json& choice, size_t n_prompt) {
  const Json& logprobs = of(choice, "logprobs");
  const auto &values = of(logprobs, "token_logprobs").array, &tops = of(logprobs, "top_logprobs").array,
             &tokens = of(logprobs, "tokens").array, &offsets = of(logprobs, "text_offset").array;
  if (n_prompt > 0) CHECK(values.size() == n_prompt + 1);
  REQUIRE(values.size() > 1);
  CHECK((tops.size() == values.size() && tokens.size() == values.size() && offsets.size() == values.size()));
  CHECK((values[0].kind == Json::Kind::null && tops[0].kind == Json::Kind::null));
  for (size_t i = 1; i < values.size(); ++i) {
    CHECK((values[i].kind == Json::Kind::real && values[i].real <= 0));
    CHECK(offsets[i].integer >= offsets[i - 1].integer);
    double most = -HUGE_VAL;
    std::string best;
    for (const Json::Member& one : tops[i].object) {
      if (one.second.real > most) best = one.first;
      most = std::max(most, one.second.real);
    }
    CHECK((most == values[i].real) == (best == tokens[i].string));
    CHECK(of(tops[i], tokens[i].string).real == values[i].real);
  }
  // The one that temperature 0 generates is the most likely.
  CHECK(of(tops[values.size() - 1], tokens[values.size() - 1].string).real == values[values.size() - 1].real);
}

void read_usage(const Json& usage) {
  CHECK(of(usage, "prompt_tokens").integer > 0);
  CHECK(of(usage, "total_tokens").integer ==
        of(usage, "prompt_tokens").integer + of(usage, "completion_tokens").integer);
}

// As vllm's benchmark and llmperf: each line is "data: .." or empty, and each chunk has a choice but the last where
// usage was asked for.
void read_stream(const std::string& stream, const Json& body) {
  const bool wants_usage = of(of(body, "stream_options"), "include_usage").boolean;
  size_t n_chunks = 0, n_usages = 0;
  bool is_done = false;
  std::string text;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find('\n', at);
    REQUIRE(end != std::string::npos);
    const std::string line = stream.substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    REQUIRE(line.starts_with("data: "));
    if ((is_done = line == "data: [DONE]")) continue;
    Json chunk;
    REQUIRE(!read_json(std::string_view(line).substr(6), chunk));
    ++n_chunks;
    if (of(chunk, "choices").array.empty()) {
      ++n_usages;
      read_usage(of(chunk, "usage"));
      continue;
    }
    CHECK(n_usages == 0);
    const Json& choice = of(chunk, "choices").array[0];
    text += of(choice, "text").string + of(of(choice, "delta"), "content").string;
  }
  CHECK(is_done);
  CHECK(n_usages == (wants_usage ? 1 : 0));
  CHECK(n_chunks > 1);
  CHECK(!text.empty());
}

void read_choices(const Json& answer, const Json& body, bool is_chat) {
  const Json& prompt = of(body, "prompt");
  const bool is_list = prompt.kind == Json::Kind::array && prompt.array[0].kind != Json::Kind::integer;
  const size_t n = of(body, "n").kind == Json::Kind::integer ? static_cast<size_t>(of(body, "n").integer) : 1;
  const auto& choices = of(answer, "choices").array;
  REQUIRE(choices.size() == n * (is_list ? prompt.array.size() : 1));
  read_usage(of(answer, "usage"));
  CHECK(of(answer, "error").kind == Json::Kind::null);
  for (size_t i = 0; i < choices.size(); ++i) {
    const Json& choice = choices[i];
    CHECK(of(choice, "index").integer == static_cast<int64_t>(i));
    CHECK((of(choice, "finish_reason").string == "length" || of(choice, "finish_reason").string == "stop"));
    CHECK((is_chat ? of(of(choice, "message"), "content") : of(choice, "text")).kind == Json::Kind::string);
    if (of(body, "echo").boolean) read_scores(choice, is_list ? prompt.array[i / n].array.size() : 0);
  }
}

}  // namespace

TEST_CASE("serve clients: recorded requests get what their clients read") {
  ServerOptions options = local_server(4);
  options.api.alias = "gpt2";
  options.api.chat = standard_template(ChatForm::chatml);
  Server server(books(), options);
  HttpClient client(server.port());
  const std::string lines = read_file(source_path("tests/data/clients/requests.jsonl"));
  size_t n_requests = 0;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin);
    Json recorded;
    REQUIRE(!read_json(std::string_view(lines).substr(begin, end - begin), recorded));
    begin = end + 1;
    ++n_requests;
    const std::string path = of(recorded, "path").string;
    const Json& body = of(recorded, "body");
    const std::string sent = body.kind == Json::Kind::null ? "" : text_of(body);
    CAPTURE(sent);
    std::string headers;
    for (const Json::Member& header : of(recorded, "headers").object) {
      headers += header.first + ": " + header.second.string + "\r\n";
    }
    const HttpReply reply = client.ask(of(recorded, "method").string, path, sent, headers);
    CHECK(reply.status == 200);
    if (of(body, "stream").boolean) {
      read_stream(reply.body, body);
      continue;
    }
    Json answer;
    REQUIRE(!read_json(reply.body, answer));
    if (path == "/tokenizer_info") CHECK(of(answer, "eos_token").kind == Json::Kind::string);
    if (path == "/tokenize") CHECK(of(answer, "tokens").kind == Json::Kind::array);
    if (path == "/v1/models") CHECK(of(of(answer, "data").array[0], "id").string == "gpt2");
    if (path.ends_with("completions")) read_choices(answer, body, path.find("chat") != std::string::npos);
  }
  CHECK(n_requests >= 18);
}
