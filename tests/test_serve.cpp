// The server over real sockets: what clients send gets what they read, the text is the engine's, and what a client does
// wrong or leaves undone hurts nobody else.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "src/engine/batcher.h"
#include "src/engine/infill.h"
#include "src/io/json.h"
#include "src/serve/server.h"
#include "src/text/utf8.h"
#include "tests/fixtures.h"
#include "tests/http_client.h"

using namespace gpt2;
using namespace gpt2::test;
using namespace std::chrono_literals;

namespace {

// One for the tests that need nothing else.
Server& shared_server() {
  static Server server(books(), local_server(8));
  return server;
}

Json json_of(const HttpReply& reply) {
  Json json;
  const auto fault = read_json(reply.body, json);
  CHECK_MESSAGE(!fault, reply.body);
  return json;
}

// Follows keys and indices; a null where there is nothing.
const Json& at(const Json& json, std::initializer_list<std::string_view> path) {
  static const Json none;
  const Json* here = &json;
  for (const std::string_view key : path) {
    if (here->kind == Json::Kind::array) {
      const size_t i = std::stoul(std::string(key));
      if (i >= here->array.size()) return none;
      here = &here->array[i];
    } else {
      here = here->find(key);
      if (here == nullptr) return none;
    }
  }
  return *here;
}

HttpReply complete(const std::string& body, uint16_t port = shared_server().port()) {
  return HttpClient(port).ask("POST", "/v1/completions", body);
}

std::string text_of(const HttpReply& reply, size_t choice = 0) {
  const Json json = json_of(reply);
  return at(json, {"choices", std::to_string(choice), "text"}).string;
}

std::vector<Json> events_of(const std::string& stream) {
  std::vector<Json> events;
  for (size_t begin = 0; begin < stream.size();) {
    const size_t end = stream.find("\n\n", begin);
    REQUIRE(end != std::string::npos);
    const std::string line = stream.substr(begin, end - begin);
    begin = end + 2;
    CHECK(line.starts_with("data: "));
    if (line == "data: [DONE]") {
      CHECK(begin == stream.size());
      break;
    }
    Json json;
    CHECK(!read_json(std::string_view(line).substr(6), json));
    events.push_back(std::move(json));
  }
  return events;
}

// What the engine gives without a server.
std::string engine_text(const std::string& prompt, uint64_t seed, uint32_t n_tokens, uint32_t sample = 0) {
  BatcherOptions options = local_server(1).batcher;
  Batcher batcher(books(), options);
  Submission submission;
  submission.prompt = books().tokenizer().encode(prompt);
  submission.request.seed = seed;
  submission.request.sample = sample;
  submission.request.max_new_tokens = n_tokens;
  submission.request.sampling.top_k = 0;
  TokenText text = text_behind(books(), submission.prompt);
  std::string bytes, out;
  batcher.submit(std::move(submission));
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      if (event.token && event.finish != FinishReason::eos) bytes += text.next(*event.token);
    }
  }
  Utf8Stream characters(InvalidUtf8::replace);
  characters.push(bytes, out);
  characters.finish(out);
  return out;
}

}  // namespace

TEST_CASE("serve: a completion has the form and the defaults of OpenAI's") {
  const HttpReply reply = complete(R"({"model":"any","prompt":"The sea","seed":7})");
  CHECK(reply.status == 200);
  CHECK(reply.headers.at("content-type") == "application/json");
  const Json json = json_of(reply);
  CHECK(at(json, {"object"}).string == "text_completion");
  CHECK(at(json, {"id"}).string.starts_with("cmpl-"));
  CHECK(at(json, {"model"}).string == "books");
  CHECK(at(json, {"system_fingerprint"}).string.starts_with("fp_"));
  CHECK(at(json, {"choices", "0", "text"}).string == engine_text("The sea", 7, 16));
  CHECK(at(json, {"choices", "0", "finish_reason"}).string == "length");
  CHECK(at(json, {"choices", "0", "logprobs"}).kind == Json::Kind::null);
  CHECK(at(json, {"usage", "completion_tokens"}).integer == 16);
  CHECK(at(json, {"usage", "total_tokens"}).integer == at(json, {"usage", "prompt_tokens"}).integer + 16);
  // A seed that was drawn is told, and repeats the text.
  const HttpReply drawn = complete(R"({"prompt":"The sea"})");
  const std::string seed = std::to_string(at(json_of(drawn), {"seed"}).integer);
  CHECK(text_of(complete(R"({"prompt":"The sea","seed":)" + seed + "}")) == text_of(drawn));
}

TEST_CASE("serve: prompts as text, texts, ids and lists of ids, n of each, prompt by prompt") {
  const std::vector<TokenId> ids = books().tokenizer().encode("The sea");
  std::string list;
  for (const TokenId id : ids) list += (list.empty() ? "" : ",") + std::to_string(id);
  const std::string expected = engine_text("The sea", 3, 8);
  CHECK(text_of(complete(R"({"max_tokens":8,"seed":3,"prompt":[)" + list + "]}")) == expected);
  const HttpReply two = complete(R"({"max_tokens":8,"seed":3,"n":2,"prompt":["Once","The sea"]})");
  const Json json = json_of(two);
  CHECK(at(json, {"choices"}).array.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(at(json, {"choices", std::to_string(i), "index"}).integer == int64_t(i));
  CHECK(text_of(two, 1) == engine_text("Once", 3, 8, 1));
  CHECK(text_of(two, 2) == expected);
  CHECK(text_of(complete(R"({"max_tokens":8,"seed":3,"prompt":[[)" + list + "],[" + list + "]]}"), 1) == expected);
  // The best of several: one of them, and the likeliest.
  const HttpReply best = complete(R"({"max_tokens":8,"seed":3,"best_of":4,"logprobs":0,"prompt":"The sea"})");
  const HttpReply all = complete(R"({"max_tokens":8,"seed":3,"n":4,"logprobs":0,"prompt":"The sea"})");
  const auto sum = [](const Json& choices, size_t i) {
    double total = 0;
    for (const Json& one : at(choices, {std::to_string(i), "logprobs", "token_logprobs"}).array) total += one.real;
    return total;
  };
  const Json bests = json_of(best), alls = json_of(all);
  CHECK(at(bests, {"choices"}).array.size() == 1);
  for (size_t i = 0; i < 4; ++i) CHECK(sum(at(bests, {"choices"}), 0) >= sum(at(alls, {"choices"}), i));
}

TEST_CASE("serve: echo and logprobs are what evaluation harnesses read") {
  const std::vector<TokenId> ids = books().tokenizer().encode("The old captain said that he");
  std::string list;
  for (const TokenId id : ids) list += (list.empty() ? "" : ",") + std::to_string(id);
  const HttpReply reply =
      complete(R"({"prompt":[[)" + list + R"(]],"temperature":0,"max_tokens":1,"logprobs":1,"seed":1234,"echo":true})");
  const Json json = json_of(reply);
  const Json& logprobs = at(json, {"choices", "0", "logprobs"});
  for (const char* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    CHECK(at(logprobs, {key}).array.size() == ids.size() + 1);
  }
  CHECK(at(logprobs, {"token_logprobs", "0"}).kind == Json::Kind::null);
  CHECK(at(logprobs, {"top_logprobs", "0"}).kind == Json::Kind::null);
  std::string text;
  size_t n_greedy = 0;
  for (size_t i = 0; i <= ids.size(); ++i) {
    const std::string n = std::to_string(i);
    const std::string& token = at(logprobs, {"tokens", n}).string;
    CHECK(at(logprobs, {"text_offset", n}).integer == static_cast<int64_t>(text.size()));
    text += token;
    if (i == 0) continue;
    double most = -HUGE_VAL;
    for (const Json::Member& one : at(logprobs, {"top_logprobs", n}).object) most = std::max(most, one.second.real);
    const double own = at(logprobs, {"token_logprobs", n}).real;
    CHECK(own <= most);
    CHECK(at(logprobs, {"top_logprobs", n, token}).real == own);
    n_greedy += own == most ? 1 : 0;
  }
  CHECK(n_greedy >= 1);  // the generated one, at least
  CHECK(at(json, {"choices", "0", "text"}).string == text);
  // The prompt alone, with max_tokens 0; and an answer without a step of the engine.
  const Json alone = json_of(complete(R"({"prompt":[)" + list + R"(],"max_tokens":0,"logprobs":1,"echo":true})"));
  CHECK(at(alone, {"choices", "0", "logprobs", "tokens"}).array.size() == ids.size());
  CHECK(at(alone, {"choices", "0", "text"}).string == "The old captain said that he");
  CHECK(at(alone, {"choices", "0", "logprobs", "token_logprobs", "2"}).real ==
        at(logprobs, {"token_logprobs", "2"}).real);
  CHECK(text_of(complete(R"({"prompt":"abc","max_tokens":0,"echo":true})")) == "abc");
}

TEST_CASE("serve: a stream is the same text in chunks, with usage where it is asked for") {
  HttpClient client(shared_server().port());
  const std::string body = R"({"prompt":"The sea","seed":5,"max_tokens":40,"n":2)";
  const HttpReply whole = client.ask("POST", "/v1/completions", body + "}");
  const HttpReply reply =
      client.ask("POST", "/v1/completions", body + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  CHECK(reply.status == 200);
  CHECK(reply.headers.at("content-type").starts_with("text/event-stream"));
  CHECK(reply.body.ends_with("data: [DONE]\n\n"));
  std::string texts[2];
  std::string finish[2];
  const std::vector<Json> events = events_of(reply.body);
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    REQUIRE(at(events[i], {"choices"}).array.size() == 1);
    const auto index = static_cast<size_t>(at(events[i], {"choices", "0", "index"}).integer);
    texts[index] += at(events[i], {"choices", "0", "text"}).string;
    finish[index] += at(events[i], {"choices", "0", "finish_reason"}).string;
    CHECK(at(events[i], {"usage"}).kind == Json::Kind::null);
  }
  for (size_t i = 0; i < 2; ++i) {
    CHECK(texts[i] == text_of(whole, i));
    CHECK(finish[i] == "length");
  }
  CHECK(at(events.back(), {"choices"}).array.empty());
  CHECK(at(events.back(), {"usage", "completion_tokens"}).integer == 80);
  // The connection goes on; without usage every chunk has a choice.
  const HttpReply plain = client.ask("POST", "/v1/completions", R"({"prompt":"A","max_tokens":3,"stream":true})");
  for (const Json& event : events_of(plain.body)) CHECK(at(event, {"choices"}).array.size() == 1);
}

TEST_CASE("serve: stop strings end texts, streamed or not, and are not in them") {
  const std::string text = engine_text("The sea", 5, 40);
  const std::string stop = text.substr(20, 5);
  const size_t end = text.find(stop);
  const std::string body = R"({"prompt":"The sea","seed":5,"max_tokens":40,"stop":[)" + json_quote(stop) + "]";
  const HttpReply reply = complete(body + "}");
  CHECK(text_of(reply) == text.substr(0, end));
  CHECK(at(json_of(reply), {"choices", "0", "finish_reason"}).string == "stop");
  std::string streamed;
  for (const Json& event : events_of(complete(body + ",\"stream\":true}").body)) {
    streamed += at(event, {"choices", "0", "text"}).string;
  }
  CHECK(streamed == text.substr(0, end));
}

TEST_CASE("serve: what is wrong with a request is said with its key") {
  struct Case {
    const char *body, *param, *message;
  };
  const Case cases[] = {
      {R"({"prompt":1})", "prompt", "found the number 1"},
      {R"({"prompt":[]})", "prompt", "expected a prompt"},
      {R"({"prompt":[1,"a"]})", "prompt", "token ids from 0"},
      {R"({"prompt":[99999999]})", "prompt", "99999999"},
      {R"({"prompt":"a","temperature":-1})", "temperature", "from 0"},
      {R"({"prompt":"a","temperature":"x"})", "temperature", "a number"},
      {R"({"prompt":"a","temperature":1e400})", "", "JSON"},
      {R"({"prompt":"a","max_tokens":-1})", "max_tokens", "whole number"},
      {R"({"prompt":"a","max_tokens":1.5})", "max_tokens", "whole number"},
      {R"({"prompt":"a","logprobs":21})", "logprobs", "20"},
      {R"({"prompt":"a","n":0})", "n", "from 1"},
      {R"({"prompt":"a","n":3,"best_of":2})", "best_of", "at least n"},
      {R"({"prompt":"a","best_of":2,"stream":true})", "best_of", "streamed"},
      {R"({"prompt":["a","b"],"n":100})", "n", "128"},
      {R"({"prompt":"a","stop":""})", "stop", "not empty"},
      {R"({"prompt":"a","stop":[1]})", "stop", "not empty"},
      {R"({"prompt":"a","presence_penalty":3})", "presence_penalty", "-2"},
      {R"({"prompt":"a","logit_bias":{"x":1}})", "logit_bias", "token ids"},
      {R"({"prompt":"a","logit_bias":{"1":"x"}})", "logit_bias", "numbers"},
      {R"({"prompt":"a","response_format":{"type":"json_object"}})", "response_format", "not supported"},
      {R"({"prompt":"a","guided_regex":"x"})", "guided_regex", "not supported"},
      {R"({"prompt":"a","suffix":"b"})", "suffix", "middle"},
      {R"({"prompt":"a","seed":1.5})", "seed", "whole number"},
      {R"([1])", "", "object"},
      {R"({"prompt":"a","prompt":"b"})", "", "JSON"},
      {"{\"prompt\":\"\xFF\"}", "", "JSON"},
      {"{", "", "JSON"},
  };
  HttpClient client(shared_server().port());
  for (const Case& one : cases) {
    CAPTURE(one.body);
    const HttpReply reply = client.ask("POST", "/v1/completions", one.body);
    const Json json = json_of(reply);
    CHECK(reply.status == 400);
    CHECK(at(json, {"error", "param"}).string == one.param);
    CHECK(at(json, {"error", "message"}).string.find(one.message) != std::string::npos);
    CHECK(at(json, {"error", "type"}).string == "invalid_request_error");
  }
  const HttpReply deep = client.ask("POST", "/v1/completions", std::string(100'000, '['));
  CHECK(deep.status == 400);
  std::string longest = "1";
  for (int i = 0; i < 256; ++i) longest += ",1";
  const HttpReply too_long = client.ask("POST", "/v1/completions", "{\"prompt\":[" + longest + "]}");
  const Json json = json_of(too_long);
  CHECK(too_long.status == 400);
  CHECK(at(json, {"error", "code"}).string == "context_length_exceeded");
  CHECK(at(json, {"error", "message"}).string.find("257 tokens") != std::string::npos);
  CHECK(at(json, {"error", "message"}).string.find("256") != std::string::npos);
  // Harmless keys, unknown ones, and those with the value that they have anyway.
  CHECK(client
            .ask("POST", "/v1/completions",
                 R"({"prompt":"a","max_tokens":1,"user":"u","presence_penalty":0,"frequency_penalty":0.0,"tools":[],)"
                 R"("logprobs":null,"top_k":-1,"repetition_penalty":1.0,"ignore_eos":true,"x":{}})")
            .status == 200);
}

TEST_CASE("serve: models, tokenizer, health, and what is not there") {
  HttpClient client(shared_server().port());
  const Json models = json_of(client.ask("GET", "/v1/models"));
  CHECK(at(models, {"object"}).string == "list");
  CHECK(at(models, {"data", "0", "id"}).string == "books");
  CHECK(client.ask("GET", "/v1/models/books/").status == 200);
  CHECK(client.ask("GET", "/v1/models/%62ooks?x=1").status == 200);
  CHECK(at(json_of(client.ask("GET", "/v1/models/other")), {"error", "code"}).string == "model_not_found");
  const Json info = json_of(client.ask("GET", "/tokenizer_info"));
  const std::string eos = at(info, {"eos_token"}).string;
  CHECK(!eos.empty());
  const Json one = json_of(
      client.ask("POST", "/tokenize", "{\"prompt\":" + json_quote(eos) + ",\"add_special_tokens\":false}"));
  CHECK(at(one, {"tokens"}).array.size() == 1);
  CHECK(at(one, {"tokens", "0"}).integer == books().config().eos_token_ids.at(0));
  const Json ids = json_of(client.ask("POST", "/tokenize", R"({"content":"The sea"})"));
  CHECK(at(ids, {"tokens"}).array.size() == books().tokenizer().encode("The sea").size());
  std::string list;
  for (const TokenId id : books().tokenizer().encode("The sea")) list += (list.empty() ? "" : ",") + std::to_string(id);
  const HttpReply back = client.ask("POST", "/detokenize", "{\"tokens\":[" + list + "]}");
  CHECK(at(json_of(back), {"prompt"}).string == "The sea");
  CHECK(client.ask("GET", "/health").status == 200);
  client.send(http_request("HEAD", "/health"));
  CHECK(client.receive_until("\r\n\r\n").find("Content-Length: 15") != std::string::npos);
  CHECK(client.ask("GET", "/nowhere").status == 404);
  const HttpReply wrong = client.ask("GET", "/v1/completions");
  CHECK(wrong.status == 405);
  CHECK(wrong.headers.at("allow") == "POST");
  CHECK(client.ask("POST", "/v1/chat/completions", R"({"messages":[{"role":"user","content":"Hi"}]})").status == 400);
  CHECK(client.ask("GET", "/health", "", "Origin: http://elsewhere.org\r\n").status == 403);
  CHECK(client.ask("GET", "/health", "", "Origin: http://test\r\n").status == 200);
}

TEST_CASE("serve: chat completions, with parts, log-probabilities and streams") {
  ServerOptions options = local_server(8);
  options.api.chat = standard_template(ChatForm::chatml);
  Server server(books(), options);
  HttpClient client(server.port());
  const std::string body =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}],"seed":2,"max_completion_tokens":12)";
  const HttpReply reply = client.ask("POST", "/v1/chat/completions", body + R"(,"logprobs":true,"top_logprobs":2})");
  const Json json = json_of(reply);
  CHECK(at(json, {"object"}).string == "chat.completion");
  CHECK(at(json, {"choices", "0", "message", "role"}).string == "assistant");
  const Json& content = at(json, {"choices", "0", "logprobs", "content"});
  CHECK(content.array.size() == static_cast<size_t>(at(json, {"usage", "completion_tokens"}).integer));
  CHECK(at(content, {"0", "top_logprobs"}).array.size() == 2);
  CHECK(at(content, {"0", "bytes"}).array.size() > 0);
  std::string text, roles;
  for (const Json& event : events_of(client.ask("POST", "/v1/chat/completions", body + ",\"stream\":true}").body)) {
    CHECK(at(event, {"object"}).string == "chat.completion.chunk");
    text += at(event, {"choices", "0", "delta", "content"}).string;
    roles += at(event, {"choices", "0", "delta", "role"}).string;
  }
  CHECK(text == at(json, {"choices", "0", "message", "content"}).string);
  CHECK(roles == "assistant");
  for (const char* bad : {R"({"messages":[]})", R"({"messages":[{"role":"x","content":"a"}]})",
                          R"({"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]})",
                          R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"}) {
    CHECK(client.ask("POST", "/v1/chat/completions", bad).status == 400);
  }
}

TEST_CASE("serve: what clients get beside each other is what each gets alone") {
  std::vector<std::string> bodies;
  for (int i = 0; i < 24; ++i) {
    const std::string n = std::to_string(i);
    const std::string prompt = i % 3 == 0 ? "The old captain said that the ship" : "Text number " + n;
    bodies.push_back(R"({"prompt":")" + prompt + R"(","seed":)" + n + R"(,"max_tokens":)" + std::to_string(4 + i) +
                     (i % 4 == 0 ? R"(,"echo":true,"logprobs":2)" : "") + (i % 5 == 0 ? R"(,"n":3)" : "") +
                     (i % 6 == 1 ? R"(,"stream":true)" : "") + (i % 7 == 0 ? R"(,"temperature":0)" : "") + "}");
  }
  // All that depends on the moment is taken away.
  const auto answer = [](const HttpReply& reply) {
    std::string body = reply.body;
    for (const std::string_view key : {"\"id\":\"", "\"created\":", "\"cached_tokens\":"}) {
      for (size_t from = 0; (from = body.find(key, from)) != std::string::npos;) {
        from += key.size();
        body.erase(from, body.find_first_of("\",}", from) - from);
      }
    }
    return body;
  };
  std::vector<std::string> alone;
  {
    Server server(books(), local_server(1));
    for (const std::string& body : bodies) alone.push_back(answer(complete(body, server.port())));
  }
  Server server(books(), local_server(5));
  std::vector<std::thread> threads;
  std::vector<std::string> together(bodies.size());
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      HttpClient client(server.port());
      for (size_t i = t; i < bodies.size(); i += 8) {
        if (i % 3 == 2) {  // another one leaves beside it
          HttpClient other(server.port());
          other.send(http_request("POST", "/v1/completions", R"({"prompt":"x","max_tokens":200,"stream":true})"));
          other.receive_until("data: ");
        }
        together[i] = answer(client.ask("POST", "/v1/completions", bodies[i]));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < bodies.size(); ++i) {
    CAPTURE(bodies[i]);
    CHECK(together[i] == alone[i]);
  }
}
