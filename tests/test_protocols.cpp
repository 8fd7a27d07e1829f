// What the server speaks beside OpenAI's protocol, over sockets: KServe's and Triton's, EasyLM's, Prometheus', a browser's.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "src/io/json.h"
#include "src/serve/server.h"
#include "tests/fixtures.h"
#include "tests/http_client.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

ServerOptions options_of(const std::string& key = "") {
  ServerOptions options = local_server(4);
  options.batcher.kv_memory = 64 << 20;
  options.api.version = "1.2";
  if (!key.empty()) options.api.keys = {key};
  return options;
}

// One for all cases.
Server& server() {
  static Server one(books(), options_of());
  return one;
}

HttpReply ask(std::string_view method, std::string_view path, std::string_view body = "", std::string_view headers = "") {
  return HttpClient(server().port()).ask(method, path, body, headers);
}

Json json_of(const HttpReply& reply) {
  CAPTURE(reply.body);
  return parse_json(reply.body, "reply");
}

Json answer(std::string_view path, std::string_view body) {
  const HttpReply reply = ask("POST", path, body);
  CAPTURE(path);
  CAPTURE(reply.body);
  CHECK(reply.status == 200);
  return json_of(reply);
}

std::string text_at(const Json& json, std::string_view key) { return json.find(key)->string; }

std::string completion(std::string_view members) {
  return text_at(answer("/v1/completions", "{\"prompt\":\"The old captain said\"," + std::string(members) + "}").find("choices")->array[0], "text");
}

std::string infer(std::string_view input, std::string_view more = "") {
  return "{\"inputs\":[" + std::string(input) + "]" + std::string(more) + "}";
}

const std::string& greedy() {
  static const std::string text = completion(R"("max_tokens":12,"temperature":0)");
  return text;
}

}  // namespace

TEST_CASE("serve kserve: health, metadata, configuration, statistics, index") {
  CHECK(ask("GET", "/v2/health/live").body == R"({"live":true})");
  CHECK(ask("GET", "/v2/health/ready").status == 200);
  CHECK(text_at(json_of(ask("GET", "/v2")), "version") == "1.2");
  for (const char* path : {"/v2/models/books", "/v2/models/books/versions/1"}) {
    const Json metadata = json_of(ask("GET", path));
    CHECK(text_at(metadata.find("inputs")->array[1], "datatype") == "INT32");
    CHECK(metadata.find("outputs")->array[1].find("shape")->array[1].integer == books().config().n_vocab);
  }
  CHECK(ask("GET", "/v2/models/books/ready").status == 200);
  CHECK(text_at(json_of(ask("GET", "/v2/models/books/config")).find("input")->array[0], "data_type") == "TYPE_STRING");
  CHECK(json_of(ask("GET", "/v2/models/stats")).find("model_stats")->array.size() == 1);
  CHECK(text_at(json_of(ask("POST", "/v2/repository/index")).array[0], "state") == "READY");
  for (const char* path : {"/v2/models/none", "/v2/models/none/ready", "/v2/models/books/versions/2", "/v2/nothing"}) {
    CAPTURE(path);
    const HttpReply reply = ask("GET", path);
    CHECK(reply.status == 404);
    CHECK(json_of(reply).find("error")->kind == Json::Kind::string);
  }
}

TEST_CASE("serve kserve: texts in, texts out, in JSON and as bytes") {
  const std::string prompt = "The old captain said";
  const std::string parameters = R"(,"id":"x","parameters":{"max_tokens":12,"temperature":0})";
  const std::string input = R"({"name":"text_input","datatype":"BYTES","shape":[1,2],"data":[")" + prompt + R"(","It was"]})";
  const Json reply = answer("/v2/models/books/infer", infer(input, parameters));
  CHECK(text_at(reply, "id") == "x");
  CHECK(text_at(reply, "model_name") == "books");
  const Json& output = reply.find("outputs")->array[0];
  CHECK(output.find("shape")->array.size() == 2);
  CHECK(output.find("data")->array[0].string == greedy());
  CHECK(output.find("data")->array.size() == 2);

  std::string bytes(4, '\0');
  bytes[0] = static_cast<char>(prompt.size());
  bytes += prompt;
  const std::string raw = R"({"name":"text_input","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":)" + std::to_string(bytes.size()) + "}}";
  const std::string json = infer(raw, R"(,"parameters":{"max_tokens":12,"temperature":0,"binary_data_output":true})");
  const HttpReply binary = ask("POST", "/v2/models/books/versions/1/infer", json + bytes, "Inference-Header-Content-Length: " + std::to_string(json.size()) + "\r\n");
  REQUIRE(binary.status == 200);
  const size_t n = std::stoul(binary.headers.at("inference-header-content-length"));
  CHECK(binary.body.substr(n + 4) == greedy());
  CHECK(static_cast<unsigned char>(binary.body[n]) == greedy().size());
}

TEST_CASE("serve kserve: ids in, logits out: the bits that the model computes") {
  const std::vector<int32_t> ids = {501, 816, 544, 358, 480};
  const std::vector<float> expected = logits_of(books(), ids, {runnable_kernels().tables[0], 1, 1u << 30, default_kv_type(books().weights())});
  std::string data;
  for (const int32_t id : ids) data += (data.empty() ? "" : ",") + std::to_string(id);
  const std::string input = R"({"name":"input_ids","datatype":"INT32","shape":[1,5],"data":[)" + data + "]}";
  const HttpReply reply = ask("POST", "/v2/models/books/infer", infer(input, R"(,"outputs":[{"name":"logits","parameters":{"binary_data":true}}])"));
  REQUIRE(reply.status == 200);
  const size_t n = std::stoul(reply.headers.at("inference-header-content-length"));
  REQUIRE(reply.body.size() - n == expected.size() * sizeof(float));
  CHECK(std::memcmp(reply.body.data() + n, expected.data(), expected.size() * sizeof(float)) == 0);
  const Json json = answer("/v2/models/books/infer", infer(input));
  const Json& output = json.find("outputs")->array[0];
  CHECK(output.find("shape")->array[2].integer == books().config().n_vocab);
  CHECK(static_cast<float>(output.find("data")->array[7].real) == expected[7]);
}

TEST_CASE("serve kserve: what an inference refuses is {\"error\": \"text\"}") {
  const std::string text = R"({"name":"text_input","datatype":"BYTES","shape":[1],"data":["x"]})";
  const auto ids = [](const std::string& shape, const std::string& data) {
    return R"({"name":"input_ids","datatype":"INT32","shape":)" + shape + ",\"data\":" + data + "}";
  };
  std::string many = "[1";
  for (int i = 1; i < 257; ++i) many += ",1";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "byte"},
      {infer(""), "found 0 inputs"},
      {infer(text + "," + text), "found 2 inputs"},
      {infer(R"({"name":"x","datatype":"BYTES","shape":[1],"data":["x"]})"), "the first \\\"x\\\""},
      {infer(text, R"(,"parameters":{"beams":4})"), "beams"},
      {infer(text, R"(,"parameters":{"temperature":-1})"), "temperature"},
      {infer(text, R"(,"parameters":{"exclude_input_in_output":false})"), "exclude_input_in_output"},
      {infer(text, R"(,"outputs":[{"name":"logits"}])"), "text_output"},
      {infer(ids("[1]", "[-1]")), "0 to 4095"},
      {infer(ids("[1]", "[4096]")), "0 to 4095"},
      {infer(ids("[0]", "[]")), "n above 0"},
      {infer(ids("[2,1]", "[1,2]")), "[1, n]"},
      {infer(ids("[257]", many + "]")), "context is 256"},
  };
  for (const auto& [body, word] : cases) {
    CAPTURE(body);
    const HttpReply reply = ask("POST", "/v2/models/books/infer", body);
    CAPTURE(reply.body);
    CHECK(reply.status == 400);
    CHECK(reply.body.starts_with("{\"error\":\""));
    CHECK(reply.body.find(word) != std::string::npos);
  }
  CHECK(ask("POST", "/v2/models/books/infer", "x", "Content-Encoding: gzip\r\n").status == 415);
  CHECK(ask("POST", "/v2/models/none/infer", infer(text)).status == 404);
}

TEST_CASE("serve kserve: generate and its stream") {
  const std::string members = R"("text_input":"The old captain said","temperature":0)";
  const Json reply = answer("/v2/models/books/generate", "{" + members + R"(,"parameters":{"max_tokens":12,"details":true}})");
  CHECK(text_at(reply, "text_output") == greedy());
  CHECK(text_at(*reply.find("details"), "finish_reason") == "length");
  const HttpReply stream = ask("POST", "/v2/models/books/generate_stream", "{" + members + R"(,"max_tokens":12})");
  CHECK(stream.headers.at("content-type") == "text/event-stream; charset=utf-8");
  std::string text;
  size_t n_events = 0;
  for (size_t at = 0; at < stream.body.size(); ++n_events) {
    const size_t end = stream.body.find("\n\n", at);
    REQUIRE(end != std::string::npos);
    REQUIRE(stream.body.substr(at, 6) == "data: ");
    text += text_at(parse_json(stream.body.substr(at + 6, end - at - 6), "event"), "text_output");
    at = end + 2;
  }
  CHECK(text == greedy());
  CHECK(n_events == 12);
  CHECK(ask("POST", "/v2/models/books/generate", "{}").status == 400);
  CHECK(ask("POST", "/v2/models/books/generate", R"({"text_input":"x","n":2})").status == 400);
}

TEST_CASE("serve easylm: likelihoods are those of the tokens behind their prefixes") {
  CHECK(json_of(ask("GET", "/ready")).string == "Ready!\n");
  const Json both = answer("/loglikelihood", R"({"prefix_text":["The old captain said",""],"text":[" that the ship","It was"]})");
  // The same by echo: the beginning-of-text token, the prefix and the text.
  std::vector<int32_t> ids = {books().config().bos_token_id};
  books().tokenizer().encode("The old captain said", Specials::as_text, ids);
  const size_t n_prefix = ids.size();
  books().tokenizer().encode(" that the ship", Specials::as_text, ids);
  std::string prompt;
  for (const int32_t id : ids) prompt += (prompt.empty() ? "" : ",") + std::to_string(id);
  const Json echo = answer("/v1/completions", "{\"prompt\":[" + prompt + R"(],"max_tokens":0,"echo":true,"logprobs":1})");
  double sum = 0;
  const Json& logprobs = *echo.find("choices")->array[0].find("logprobs")->find("token_logprobs");
  for (size_t i = n_prefix; i < ids.size(); ++i) sum += logprobs.array[i].real;
  CHECK(both.find("log_likelihood")->array[0].real == doctest::Approx(sum).epsilon(1e-6));
  CHECK(both.find("is_greedy")->array.size() == 2);
  const std::string own = answer("/greedy-until", R"({"prefix_text":["The old captain said that the ship"],"until":["."]})").find("output_text")->array[0].string;
  const Json same = answer("/v1/completions", "{\"prompt\":[" + prompt + R"(],"max_tokens":256,"temperature":0,"stop":"."})");
  CHECK(own == text_at(same.find("choices")->array[0], "text"));
  // What greedy choice writes is greedy.
  const Json judged = answer("/loglikelihood", R"({"prefix_text":["The old captain said that the ship"],"text":[)" + json_quote(own) + "]}");
  CHECK(judged.find("is_greedy")->array[0].boolean);
  CHECK_FALSE(answer("/loglikelihood", R"({"text":[" xylophone"]})").find("is_greedy")->array[0].boolean);
}

TEST_CASE("serve easylm: a long text is scored in windows, each token once") {
  // 600 tokens: [0, 256), [256, 512) and the last 88 behind the 168 before them.
  std::vector<int32_t> ids = {books().config().bos_token_id};
  std::string text;
  while (ids.size() < 601) {
    text += " word";
    ids.resize(1);
    books().tokenizer().encode(text, Specials::as_text, ids);
  }
  double sum = 0;
  for (const auto& [start, first] : {std::pair<size_t, size_t>{0, 1}, {256, 1}, {ids.size() - 257, 512 - (ids.size() - 257) + 1}}) {
    std::string prompt;
    const size_t end = std::min(start + 257, ids.size());
    // A completion's prompt has at most a context's tokens: the window's last token is generated instead, and looked up.
    for (size_t i = start; i + 1 < end; ++i) prompt += (prompt.empty() ? "" : ",") + std::to_string(ids[i]);
    const Json echo = answer("/v1/completions", "{\"prompt\":[" + prompt + R"(],"max_tokens":1,"echo":true,"logprobs":1,"logit_bias":{")" + std::to_string(ids[end - 1]) + R"(":100},"temperature":0})");
    const Json& logprobs = *echo.find("choices")->array[0].find("logprobs")->find("token_logprobs");
    for (size_t i = first; i < logprobs.array.size(); ++i) sum += logprobs.array[i].real;
  }
  const Json rolling = answer("/loglikelihood-rolling", "{\"text\":[\"" + text + "\"]}");
  CHECK(rolling.find("log_likelihood")->array[0].real == doctest::Approx(sum).epsilon(1e-5));
}

TEST_CASE("serve easylm: texts, conversations, and what is refused") {
  const Json texts = answer("/generate", R"({"prefix_text":["It was","A"],"temperature":0.5})");
  CHECK(texts.find("output_text")->array.size() == 2);
  const Json first = answer("/chat", R"({"prompt":"It was","context":"","temperature":null})");
  CHECK(text_at(first, "context") == "It was" + text_at(first, "response"));
  for (const char* body : {"{}", R"({"text":"x"})", R"({"text":[1]})", R"({"text":[]})", R"({"text":["x"],"prefix_text":[]})"}) {
    CAPTURE(body);
    const HttpReply reply = ask("POST", "/loglikelihood", body);
    CHECK(reply.status == 400);
    CHECK(json_of(reply).find("error")->kind == Json::Kind::string);
  }
  std::string longer;
  for (int i = 0; i < 300; ++i) longer += " word";
  CHECK(ask("POST", "/loglikelihood", "{\"text\":[\"" + longer + "\"]}").body.find("tokens") != std::string::npos);
  CHECK(ask("POST", "/greedy-until", R"({"prefix_text":["x"]})").status == 400);
  CHECK(ask("POST", "/greedy-until", R"({"prefix_text":["x"],"until":[["a"],["b"]]})").status == 400);
  CHECK(ask("POST", "/generate", R"({"prefix_text":["x"],"temperature":-1})").status == 400);
}

TEST_CASE("serve easylm: a conversation with a template is that of /v1/chat/completions") {
  ServerOptions options = options_of();
  options.api.chat = standard_template(ChatForm::chatml);
  Server talking(books(), options);
  const auto say = [&](const char* path, const std::string& body) {
    return json_of(HttpClient(talking.port()).ask("POST", path, body));
  };
  const auto completed = [&](const std::string& messages) {
    const Json chat = say("/v1/chat/completions", "{\"temperature\":0,\"messages\":" + messages + "}");
    return text_at(*chat.find("choices")->array[0].find("message"), "content");
  };
  const Json first = say("/chat", R"({"prompt":"Who \"goes\" there?","context":"","temperature":0})");
  CHECK(text_at(first, "response") == completed(R"([{"role":"user","content":"Who \"goes\" there?"}])"));
  CHECK(text_at(first, "context") == R"([{"role":"user","content":"Who \"goes\" there?"},{"role":"assistant","content":)" + json_quote(text_at(first, "response")) + "}]");
  const std::string context = R"([{"role":"user","content":"Hello"},{"role":"assistant","content":"Yes"}])";
  const Json second = say("/chat", R"({"prompt":"Go on","temperature":0,"context":)" + json_quote(context) + "}");
  const std::string so_far = context.substr(0, context.size() - 1) + R"(,{"role":"user","content":"Go on"}])";
  CHECK(text_at(second, "response") == completed(so_far));
  for (const char* wrong : {"x", "[", "[1]", "{}", "[]]"})
    CHECK(HttpClient(talking.port()).ask("POST", "/chat", R"({"prompt":"a","context":)" + json_quote(wrong) + "}").status == 400);
}

TEST_CASE("serve metrics: counts go up and histograms add up") {
  const auto value = [](const std::string& text, const std::string& line) {
    const size_t at = text.find("\n" + line + " ");
    CAPTURE(line);
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + line.size() + 2));
  };
  completion(R"("max_tokens":5,"temperature":0)");
  ask("GET", "/nothing");
  const HttpReply before = ask("GET", "/metrics");
  CHECK(before.headers.at("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  completion(R"("max_tokens":5,"temperature":0)");
  const HttpReply after = ask("GET", "/metrics");
  const auto grows = [&](const char* line, double by) {
    CAPTURE(line);
    CHECK(value(after.body, line) - value(before.body, line) >= by);
  };
  grows("gpt2_http_requests_total{code=\"200\"}", 1);
  grows("gpt2_generated_tokens_total", 5);
  grows("gpt2_time_to_first_token_seconds_count", 1);
  grows("gpt2_time_between_tokens_seconds_count", 4);
  CHECK(value(after.body, "gpt2_http_requests_total{code=\"404\"}") >= 1);
  CHECK(value(after.body, "gpt2_slots") == 4);
  CHECK(value(after.body, "gpt2_kv_blocks") > 0);
  CHECK(value(after.body, "gpt2_time_to_first_token_seconds_bucket{le=\"+Inf\"}") == value(after.body, "gpt2_time_to_first_token_seconds_count"));
  CHECK(value(after.body, "gpt2_time_to_first_token_seconds_bucket{le=\"0.001\"}") <= value(after.body, "gpt2_time_to_first_token_seconds_bucket{le=\"300\"}"));
}

TEST_CASE("serve metrics: a client that leaves has its text cancelled") {
  const auto cancelled = [] {
    const std::string text = ask("GET", "/metrics").body;
    return std::stod(text.substr(text.find("\ngpt2_jobs_cancelled_total ") + 27));
  };
  const double before = cancelled();
  // Many long texts, so that the end does not come before the client has left.
  HttpClient client(server().port());
  client.send(http_request("POST", "/v1/completions", R"({"prompt":"It was","max_tokens":250,"ignore_eos":true,"n":100,"stream":true})"));
  client.receive_until("data: ");
  CHECK(cancelled() == before);
  client.reset();
  for (int i = 0; i < 10000 && cancelled() == before; ++i) {
  }
  CHECK(cancelled() == before + 1);
}

TEST_CASE("serve page: it asks for no key, takes nothing from elsewhere, and the browser is held to that") {
  Server locked(books(), options_of("secret"));
  const auto get = [&](const char* path) { return HttpClient(locked.port()).ask("GET", path); };
  for (const char* path : {"/", "/page.css", "/page.js"}) {
    CAPTURE(path);
    const HttpReply reply = get(path);
    CHECK(reply.status == 200);
    CHECK(reply.headers.at("content-security-policy").starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
    CHECK(reply.headers.at("x-content-type-options") == "nosniff");
    for (const char* word : {"http:", "https:", "innerHTML", "outerHTML", "document.write", "eval(", " style=", " onclick", "<script>"}) {
      CAPTURE(word);
      CHECK(reply.body.find(word) == std::string::npos);
    }
  }
  CHECK(get("/").headers.at("content-type") == "text/html; charset=utf-8");
  for (const char* path : {"/metrics", "/v2/models/locked", "/v1/models"}) CHECK(get(path).status == 401);
  CHECK(get("/v2/health/ready").status == 200);
}
