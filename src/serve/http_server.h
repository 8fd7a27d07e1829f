// HTTP/1.1 on sockets: a thread for each connection, one request after the other, every wait with an absolute deadline
// and every buffer with a bound. A client that leaves is noticed while its answer is being made.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "src/serve/http.h"

namespace gpt2 {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any that is free
  int listening_fd = -1;  // a socket that listens already, instead of host and port
  uint32_t max_connections = 256;     // or as many as there are descriptors for; more wait until one ends
  uint32_t max_header = 16 << 10;     // bytes
  uint64_t max_body = 4 << 20;        // bytes
  uint64_t max_bodies = 32 << 20;     // bytes that came of the bodies of all requests that are read or answered
  int send_buffer = 256 << 10;        // bytes of a response that the kernel holds for a client
  // From the first byte of a request to the end of its header, from there to the end of its body, between two requests,
  // and until the client takes more of a response.
  std::chrono::milliseconds header_deadline{10'000}, body_deadline{30'000}, idle_deadline{60'000},
      write_deadline{30'000};
};

// What became of one request.
struct HttpRecord {
  std::string client;          // its address
  const HttpRequest* request;  // nullptr where no whole header came
  int status = 0;              // 0: the client left before an answer
  uint64_t bytes = 0;          // of the response
  double seconds = 0;          // from the request's first byte to the response's last
};

class HttpServer {
 public:
  using Log = std::function<void(const HttpRecord&)>;

  // Makes the response to what is no request that can be handled; `request` may be nullptr.
  using Refusal = std::function<HttpResponse(const HttpRequest* request, int status, const std::string& message)>;

  // Listens. `handler` and `refuse` are called from many threads at once. Throws Error (exit 1) where it cannot listen.
  HttpServer(const HttpOptions& options, HttpHandler handler, Refusal refuse, Log log);
  // Stops at once.
  ~HttpServer();

  uint16_t port() const noexcept;
  std::string address() const;  // "127.0.0.1:8080", "[::1]:8080"
  // Takes no further connections or requests, and waits until those that run have their answers, at most `grace`; then
  // ends all connections. Returns whether all were answered.
  bool stop(std::chrono::milliseconds grace);
  size_t connections() const noexcept;
  uint64_t body_bytes() const noexcept;  // that are held for requests

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gpt2
