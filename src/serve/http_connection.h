// One connection of the HTTP server, from its first byte to its end: reads requests with Beast's parser, which stays in
// http_connection.cpp, and writes their responses.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/io/file_descriptor.h"
#include "src/serve/http.h"
#include "src/serve/http_server.h"

namespace gpt2 {

// What connections share with their server.
struct HttpShared {
  HttpOptions options;
  HttpHandler handler;
  HttpServer::Refusal refuse;
  HttpServer::Log log;
  std::atomic<bool> draining = false;      // each ends behind its present response
  std::atomic<uint64_t> body_bytes = 0;    // of all requests
};

class HttpConnection final : public ResponseWriter {
 public:
  using Clock = std::chrono::steady_clock;

  // `socket` does not block. `shared` outlives the connection.
  HttpConnection(FileDescriptor socket, HttpShared& shared);
  ~HttpConnection();

  // Serves it until it ends, in the calling thread. Throws nothing but bad_alloc.
  void serve();

  // For the server's thread: the moment since which no request is there; 0 while there is one.
  std::chrono::nanoseconds idle_since() const noexcept { return std::chrono::nanoseconds(idle_since_.load()); }
  // Ends what waits in serve().
  void shut_down() noexcept;

  void send(const HttpResponse& response) override;
  void begin(const HttpResponse& head) override;
  bool write(std::string_view bytes) override;
  void end() override;
  bool begun() const noexcept override { return status_ > 0; }
  bool wait(int fd) override;

 private:
  enum class Got { request, refused, nothing };  // refused: and answered so; nothing: the client has left
  class Parser;

  Got read_request(HttpRequest& request);
  Got read_header(Parser& parser, HttpRequest& request);
  Got read_body(Parser& parser, HttpRequest& request);
  Got refuse(int status, const std::string& message, const HttpRequest* request);
  Got refuse_parse_error(const Parser& parser, HttpRequest& request);
  void explain_half_close(const HttpRequest& request);
  bool reserve_body(uint64_t bytes);
  void release_body() noexcept;
  enum class Received { bytes, end, late };
  Received receive(Clock::time_point deadline);
  bool send_all(std::string_view head, std::string_view body);
  std::string head_of(const HttpResponse& response, std::string_view framing) const;
  void linger() noexcept;
  void log(const HttpRequest* request);

  FileDescriptor socket_;
  HttpShared& shared_;
  std::string client_;
  std::atomic<int64_t> idle_since_;
  std::string in_;            // received and not parsed
  uint64_t body_bytes_ = 0;   // reserved for the present request
  // Of the present exchange.
  Clock::time_point start_;
  bool keeps_alive_ = false, is_head_ = false, is_http_1_0_ = false, is_chunked_ = false, has_left_ = false;
  bool has_ended_ = false, has_half_closed_ = false;
  int status_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace gpt2
