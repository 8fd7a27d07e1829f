// HTTP's requests and responses as values, and where a handler's answer goes. Knows no socket and no protocol above.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpt2 {

struct HttpHeader {
  std::string name, value;
};

struct HttpRequest {
  std::string method, target;        // as they were sent
  std::string path, query;           // of the target; the path without a slash at its end
  std::vector<HttpHeader> headers;   // names in lower case
  std::string body;

  // Returns the value of the header with this name in lower case; empty if there is none.
  std::string_view header(std::string_view name) const noexcept;
};

struct HttpResponse {
  HttpResponse() = default;
  HttpResponse(int status_code, std::string type, std::string text)
      : status(status_code), content_type(std::move(type)), body(std::move(text)) {}

  int status = 200;
  std::string content_type;
  std::string body;
  std::vector<HttpHeader> headers;  // beside those that every response has
};

// Returns a response of the type application/json.
HttpResponse json_response(std::string body, int status = 200);

// The answer to one request: send(), or begin(), write() as often as one likes, and end().
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void send(const HttpResponse& response) = 0;
  // Begins a response whose body comes in pieces; what `head` has of it is the first piece.
  virtual void begin(const HttpResponse& head) = 0;
  // Returns false once the client has left or reads too slowly: nothing more is of use then.
  virtual bool write(std::string_view bytes) = 0;
  virtual void end() = 0;
  virtual bool begun() const noexcept = 0;  // whether anything was sent
  // Waits until there is something to read from the descriptor `fd`. Returns false once the client has left or the
  // server is to stop at once.
  virtual bool wait(int fd) = 0;
};

using HttpHandler = std::function<void(const HttpRequest& request, ResponseWriter& out)>;

// Returns the reason phrase of a status.
std::string_view http_reason(int status) noexcept;

}  // namespace gpt2
