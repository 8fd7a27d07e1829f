// A client of HTTP/1.1 for the tests, on a plain socket: it can send anything, also what no client should.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "src/io/file_descriptor.h"
#include "src/serve/server.h"

namespace gpt2::test {

struct HttpReply {
  int status = 0;  // 0: the connection ended before a response
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  explicit HttpClient(uint16_t port);

  void send(std::string_view bytes);
  // Returns the next response, its chunks joined; waits a minute at most.
  HttpReply receive();
  // Returns the bytes up to and with `end`, those that came where the connection ended before.
  std::string receive_until(std::string_view end);
  HttpReply ask(std::string_view method, std::string_view path, std::string_view body = "",
                std::string_view headers = "");
  // Returns whether the server has ended the connection and sent nothing more.
  bool is_at_end();
  void end_sending();
  void reset();  // ends the connection with a reset
  int fd() const noexcept { return socket_.get(); }

 private:
  bool fill();
  std::string take(size_t n);

  FileDescriptor socket_;
  std::string in_;
};

// Returns the text of a request.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = "",
                         std::string_view headers = "");

// Returns the options of a server for tests: on any port, with the best kernels here and a prefix cache.
ServerOptions local_server(uint32_t slots);

}  // namespace gpt2::test
