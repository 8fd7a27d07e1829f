// What clients do wrong: it ends their request or connection, and nothing else.
#include <doctest/doctest.h>

#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "src/base/error.h"
#include "src/serve/server.h"
#include "tests/fixtures.h"
#include "tests/http_client.h"

using namespace gpt2;
using namespace gpt2::test;
using namespace std::chrono_literals;

namespace {

ServerOptions fault_options(uint32_t slots = 2) {
  ServerOptions options = local_server(slots);
  options.batcher.engine.prefix_cache = false;  // nothing is kept of a text that ended
  return options;
}

const std::string kHealth = http_request("GET", "/health");
const std::string kShort = R"({"prompt":"A","max_tokens":2,"seed":1})";

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("serve faults: requests that are none are refused, and their connection ends") {
  ServerOptions options = fault_options();
  options.http.max_body = 1000;
  Server server(books(), options);
  struct Case {
    std::string bytes;
    int status;
  };
  const std::string post = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
  const Case cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET /health HTTP/3.0\r\nHost: x\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\n\r\n", 400},
      {"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
      {post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
      {post + "Content-Length: 2, 2\r\n\r\n{}", 400},
      {post + "Content-Length: -2\r\n\r\n{}", 400},
      {post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {post + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415},
      {post + "Expect: magic\r\nContent-Length: 2\r\n\r\n{}", 417},
      {post + "Content-Length: 1001\r\n\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, ' ') + "\r\n0\r\n\r\n", 413},
      {post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"GET /health HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
      {"GET /" + std::string(40'000, 'x'), 431},
  };
  for (const Case& one : cases) {
    CAPTURE(one.bytes.substr(0, 120));
    HttpClient client(server.port());
    client.send(one.bytes);
    CHECK(client.receive().status == one.status);
    client.end_sending();
    CHECK(client.is_at_end());
  }
  HttpClient exact(server.port());
  const std::string body = kShort + std::string(1000 - kShort.size(), ' ');
  CHECK(exact.ask("POST", "/v1/completions", body).status == 200);
  CHECK(comes_true([&] { return server.http().body_bytes() == 0; }));
}

TEST_CASE("serve faults: chunks, Expect, pipelines, HTTP/1.0 and bodies in pieces are served") {
  Server server(books(), fault_options());
  HttpClient client(server.port());
  const auto text = [](const HttpReply& reply) { return reply.body.substr(reply.body.find("\"choices\"")); };
  const std::string whole = text(client.ask("POST", "/v1/completions", kShort));
  std::string chunked = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n";
  for (const char c : kShort) chunked += "1;ignored=x\r\n" + std::string(1, c) + "\r\n";
  client.send(chunked + "0\r\nTrailer: x\r\n\r\n");
  CHECK(text(client.receive()) == whole);
  client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: " +
              std::to_string(kShort.size()) + "\r\n\r\n");
  CHECK(client.receive().status == 100);
  client.send(kShort);
  CHECK(text(client.receive()) == whole);
  const std::string pipeline = http_request("POST", "/v1/completions", kShort) + kHealth;
  for (const char c : pipeline) client.send({&c, 1});
  CHECK(text(client.receive()) == whole);
  CHECK(client.receive().status == 200);
  client.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(client.receive().headers.at("connection") == "keep-alive");
  const std::string streamed = R"({"prompt":"A","max_tokens":2,"seed":1,"stream":true})";
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(streamed.size()) + "\r\n\r\n" +
              streamed);
  CHECK(client.receive().body.ends_with("data: [DONE]\n\n"));
  CHECK(client.is_at_end());
}

TEST_CASE("serve faults: each deadline ends what is late, and only that") {
  ServerOptions options = fault_options();
  options.http.header_deadline = options.http.body_deadline = options.http.idle_deadline = 50ms;
  Server server(books(), options);
  HttpClient idle(server.port()), header(server.port()), body(server.port());
  header.send(kHealth.substr(0, 10));
  body.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
  CHECK(header.receive().status == 408);
  CHECK(body.receive().status == 408);
  CHECK(idle.is_at_end());
  CHECK(comes_true([&] { return server.http().body_bytes() == 0; }));
}

TEST_CASE("serve faults: a client that leaves frees its place, waiting, in its prompt or in its text") {
  ServerOptions options = fault_options(1);
  Server server(books(), options);
  const auto stats = [&] { return server.service().stats(); };
  // 128 texts of 250 tokens in one place: far from done when their client leaves.
  const std::string body = R"({"prompt":"A","max_tokens":250,"n":128,"ignore_eos":true)";
  const auto left = [&](auto leave, bool is_stream) {
    const uint64_t before = stats().batcher.generated_tokens;
    HttpClient runs(server.port()), waits(server.port());
    runs.send(http_request("POST", "/v1/completions", body + (is_stream ? ",\"stream\":true}" : "}")));
    CHECK(comes_true([&] { return stats().unfinished > 0; }));
    waits.send(http_request("POST", "/v1/completions", body + "}"));
    CHECK(comes_true([&] { return stats().unfinished > 128; }));
    leave(waits);
    CHECK(comes_true([&] { return stats().unfinished <= 128; }));
    leave(runs);
    CHECK(comes_true([&] { return stats().unfinished == 0; }));
    CHECK(stats().batcher.generated_tokens - before < 128 * 250);
  };
  left([](HttpClient& client) { client.reset(); }, false);
  left([](HttpClient& client) { client.end_sending(); }, true);
  HttpClient half_closed(server.port());
  half_closed.send(http_request("POST", "/v1/completions", body + "}"));
  half_closed.end_sending();
  const HttpReply told = half_closed.receive();
  CHECK(told.status == 400);
  CHECK(told.body.find("ended its sending side") != std::string::npos);
  CHECK(half_closed.is_at_end());
  CHECK(comes_true([&] { return stats().unfinished == 0; }));
  // Once the engine is told, it computes no step more than the one that it is in.
  {
    Service& service = const_cast<Service&>(server.service());
    Work work;
    work.prompt = {65};
    work.request.max_new_tokens = 250;
    work.request.ignore_eos = true;
    work.n_samples = 64;
    std::unique_ptr<Job> job = service.submit({work});
    CHECK(comes_true([&] { return stats().batcher.steps > 0 && stats().unfinished > 0; }));
    job.reset();
    const uint64_t steps = stats().batcher.steps;
    CHECK(comes_true([&] { return stats().unfinished == 0; }));
    CHECK(stats().batcher.steps <= steps + 1);
  }
  CHECK(HttpClient(server.port()).ask("POST", "/v1/completions", kShort).status == 200);
}

TEST_CASE("serve faults: a queue that is full, and connections to the limit") {
  ServerOptions options = fault_options(1);
  options.limits.max_queue = 4;
  options.http.max_connections = 3;
  Server server(books(), options);
  const std::string many = R"({"prompt":"A","max_tokens":250,"n":128,"ignore_eos":true})";
  {
    HttpClient runs(server.port()), refused(server.port());
    runs.send(http_request("POST", "/v1/completions", many));
    CHECK(comes_true([&] { return server.service().stats().unfinished > 0; }));
    const HttpReply reply = refused.ask("POST", "/v1/completions", kShort);
    CHECK(reply.status == 429);
    CHECK(reply.headers.at("retry-after") == "1");
    CHECK(reply.body.find("rate_limit_error") != std::string::npos);
  }
  CHECK(comes_true([&] { return server.service().stats().unfinished == 0; }));
  // Idle connections make room for new ones.
  std::vector<HttpClient> idle;
  for (int i = 0; i < 8; ++i) idle.emplace_back(server.port());
  CHECK(HttpClient(server.port()).ask("POST", "/v1/completions", kShort).status == 200);
  CHECK(server.http().connections() <= 3);
}

TEST_CASE("serve faults: a job whose events nobody takes is paused, and others get its slot") {
  ServiceLimits limits;
  limits.max_event_bytes = 2000;
  const ServerOptions options = fault_options(1);
  Service service(books(), options.batcher, limits);
  const auto submit = [&](uint32_t n_samples) {
    Work work;
    work.prompt = {65, 66};
    work.request.seed = 1;
    work.request.max_new_tokens = 100;
    work.request.ignore_eos = true;
    work.n_samples = n_samples;
    return service.submit({work});
  };
  const auto take_all = [](Job& job, uint32_t n_samples) {
    std::vector<std::vector<int32_t>> tokens(n_samples);
    for (uint32_t n_open = n_samples; n_open > 0;) {
      pollfd waiting = {job.ready_fd(), POLLIN, 0};
      poll(&waiting, 1, -1);
      for (const JobEvent& event : job.take()) {
        if (event.token) tokens[event.sample].push_back(*event.token);
        n_open -= event.finish == FinishReason::running ? 0 : 1;
      }
    }
    return tokens;
  };
  const std::unique_ptr<Job> slow = submit(3);
  CHECK(comes_true([&] { return service.stats().pauses == 1; }));
  const uint64_t n_tokens = service.stats().batcher.generated_tokens;
  CHECK(n_tokens < 100);
  const auto others = take_all(*submit(1), 1);
  CHECK(service.stats().batcher.generated_tokens == n_tokens + 100);
  CHECK(service.stats().batcher.preemptions == 1);
  CHECK(service.stats().unfinished == 3);
  const auto found = take_all(*slow, 3);
  CHECK(found[0] == others[0]);
  CHECK(found == take_all(*submit(3), 3));
  CHECK(service.stats().batcher.generated_tokens == 700);
}

// Its answer is about a megabyte, of which the kernel takes a part.
TEST_CASE("serve faults: a slow reader is paused while it reads nothing, and dropped at the deadline") {
  ServerOptions options = fault_options(1);
  options.limits.max_event_bytes = 2000;
  options.http.send_buffer = 4096;
  options.http.write_deadline = 60s;
  const std::string body = R"({"prompt":"A","max_tokens":250,"n":4,"seed":3,"ignore_eos":true,"logprobs":20,"stream":true})";
  const auto begin_slowly = [&](const Server& server) {
    HttpClient slow(server.port());
    const int little = 1024;
    setsockopt(slow.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    slow.send(http_request("POST", "/v1/completions", body));
    return slow;
  };
  const auto choices = [](const std::string& stream) {  // without what differs between two requests
    std::string text;
    for (size_t at = 0; (at = stream.find("\"choices\"", at)) != std::string::npos;) {
      const size_t end = stream.find('\n', at);
      text += stream.substr(at, end - at) + "\n";
      at = end;
    }
    return text;
  };
  {
    Server server(books(), options);
    const auto stats = [&] { return server.service().stats(); };
    HttpClient slow = begin_slowly(server);
    CHECK(comes_true([&] { return stats().pauses > 0 && stats().unfinished == 4; }));
    CHECK(HttpClient(server.port()).ask("POST", "/v1/completions", kShort).status == 200);
    CHECK(stats().unfinished == 4);
    CHECK(stats().batcher.generated_tokens < 4 * 250);
    // Once it reads, it gets what a fast reader gets.
    const HttpReply late = slow.receive();
    CHECK(late.body.ends_with("data: [DONE]\n\n"));
    CHECK(stats().batcher.preemptions > 0);
    CHECK(choices(late.body) == choices(HttpClient(server.port()).ask("POST", "/v1/completions", body).body));
  }
  options.http.write_deadline = 50ms;
  Server server(books(), options);
  HttpClient slow = begin_slowly(server);
  CHECK(comes_true([&] { return server.service().stats().cancelled_jobs == 1; }));
  CHECK(comes_true([&] { return server.service().stats().unfinished == 0; }));
  CHECK(server.service().stats().batcher.generated_tokens < 4 * 250);
  CHECK(HttpClient(server.port()).ask("POST", "/v1/completions", kShort).status == 200);
}

TEST_CASE("serve faults: keys, and a stop that lets requests end") {
  ServerOptions options = fault_options();
  options.api.keys = {"secret", "other"};
  auto server = std::make_unique<Server>(books(), options);
  HttpClient client(server->port());
  CHECK(client.ask("GET", "/v1/models").status == 401);
  CHECK(client.ask("GET", "/v1/models", "", "Authorization: Bearer \r\n").status == 401);
  CHECK(client.ask("GET", "/v1/models", "", "Authorization: Bearer secre\r\n").status == 401);
  CHECK(client.ask("GET", "/v1/models", "", "Authorization: Bearer secrets\r\n").status == 401);
  CHECK(client.ask("GET", "/v1/models", "", "Authorization: Bearer other\r\n").status == 200);
  CHECK(client.ask("GET", "/health").status == 200);
  HttpClient runs(server->port());
  runs.send(http_request("POST", "/v1/completions", R"({"prompt":"A","max_tokens":200,"seed":1,"ignore_eos":true})",
                         "Authorization: Bearer secret\r\n"));
  CHECK(comes_true([&] { return server->service().stats().unfinished > 0; }));
  CHECK(server->stop(60s));
  const HttpReply reply = runs.receive();
  CHECK(reply.status == 200);
  CHECK(reply.headers.at("connection") == "close");
  CHECK(client.is_at_end());
  CHECK_THROWS(HttpClient(server->port()));
  server.reset();
  // Without grace it ends at once.
  server = std::make_unique<Server>(books(), fault_options());
  HttpClient cut(server->port());
  cut.send(http_request("POST", "/v1/completions", R"({"prompt":"A","max_tokens":250,"n":128,"ignore_eos":true})"));
  CHECK(comes_true([&] { return server->service().stats().unfinished > 0; }));
  CHECK(!server->stop(0ms));
  CHECK(cut.receive().status == 0);
}

TEST_CASE("serve faults: an address that is taken") {
  Server server(books(), fault_options());
  ServerOptions options = fault_options();
  options.http.port = server.port();
  const Failure failure = failure_of([&] { Server(books(), options); });
  CHECK(failure.code == 1);
  CHECK(failure.message.find("cannot listen on 127.0.0.1 port " + std::to_string(server.port())) != std::string::npos);
}
