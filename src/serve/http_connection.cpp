#include "src/serve/http_connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>

namespace gpt2 {
namespace {

namespace http = boost::beast::http;

constexpr size_t kReceive = 16 << 10;
constexpr size_t kMostFraming = 64 << 10;  // bytes of a body's framing that are not whole
constexpr size_t kPiece = 256 << 10;       // of a response, for which the client has the write deadline
constexpr std::chrono::milliseconds kLinger{1000};

using Clock = HttpConnection::Clock;

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
}

// Waits for one of `events`; returns those that came, 0 at the deadline.
short poll_until(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    pollfd waiting = {fd, events, 0};
    const int n = poll(&waiting, 1, milliseconds_until(deadline));
    if (n > 0) return waiting.revents;
    if (n == 0 && Clock::now() >= deadline) return 0;
    if (n < 0 && errno != EINTR) return POLLERR;
  }
}

std::string peer_of(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  char host[64] = "";
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  return host;
}

std::string http_date() {
  const time_t now = time(nullptr);
  tm parts = {};
  gmtime_r(&now, &parts);
  char text[40];
  return {text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

// Of "/a/b/?q" or "http://host/a/b": the path without a slash at its end, and the query.
void split_target(HttpRequest& request) {
  std::string_view target = request.target;
  if (target.starts_with("http://")) {
    target.remove_prefix(7);
    target.remove_prefix(std::min(target.find('/'), target.size()));
  }
  const size_t end = std::min(target.find('?'), target.size());
  request.path = target.substr(0, end);
  request.query = target.substr(std::min(end + 1, target.size()));
  while (request.path.size() > 1 && request.path.ends_with('/')) request.path.pop_back();
  if (request.path.empty()) request.path = "/";
}

// Returns the fault of a header that Beast's parser accepts; empty if it has none.
std::string header_fault(const HttpRequest& request, bool is_http_1_0) {
  size_t n_lengths = 0, n_hosts = 0, n_codings = 0;
  for (const HttpHeader& header : request.headers) {
    if (header.name == "content-length") {
      ++n_lengths;
      if (header.value.find(',') != std::string::npos) ++n_lengths;
    }
    if (header.name == "host") ++n_hosts;
    if (header.name == "transfer-encoding") ++n_codings;
  }
  if (!request.path.starts_with('/') && request.path != "*") return "expected a path that begins with /";
  if (n_lengths > 1) return "more than one Content-Length";
  if (n_codings > 0 && n_lengths > 0) return "both Content-Length and Transfer-Encoding";
  if (n_codings > 1) return "more than one Transfer-Encoding";
  if (n_codings == 1 && is_http_1_0) return "Transfer-Encoding with HTTP/1.0";
  if (n_hosts > 1 || (n_hosts == 0 && !is_http_1_0)) return "expected one Host header";
  return "";
}

}  // namespace

class HttpConnection::Parser : public http::request_parser<http::string_body> {
 public:
  explicit Parser(const HttpOptions& options) {
    header_limit(options.max_header);
    body_limit(options.max_body);
  }
  boost::system::error_code fault;
};

HttpConnection::HttpConnection(FileDescriptor socket, HttpShared& shared)
    : socket_(std::move(socket)),
      shared_(shared),
      client_(peer_of(socket_.get())),
      idle_since_(Clock::now().time_since_epoch().count()) {
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &shared.options.send_buffer, sizeof shared.options.send_buffer);
}

HttpConnection::~HttpConnection() { release_body(); }

void HttpConnection::shut_down() noexcept { shutdown(socket_.get(), SHUT_RDWR); }

void HttpConnection::serve() {
  do {
    HttpRequest request;
    status_ = 0;
    sent_ = 0;
    keeps_alive_ = is_head_ = is_http_1_0_ = is_chunked_ = has_left_ = has_ended_ = has_half_closed_ = false;
    const Got got = read_request(request);
    if (got == Got::nothing) return;
    if (got == Got::request) {
      shared_.handler(request, *this);
      log(&request);
      if (!has_ended_) keeps_alive_ = false;
      if (has_half_closed_ && !begun()) explain_half_close(request);
    }
    request = {};
    release_body();
    if (!keeps_alive_) break;
    idle_since_ = Clock::now().time_since_epoch().count();
  } while (!shared_.draining);
  if (!has_left_) linger();
}

HttpConnection::Got HttpConnection::read_request(HttpRequest& request) {
  Parser parser(shared_.options);
  if (in_.empty()) {
    if (receive(Clock::now() + shared_.options.idle_deadline) != Received::bytes) return Got::nothing;
  }
  idle_since_ = 0;
  start_ = Clock::now();
  Got got = read_header(parser, request);
  if (got == Got::request) got = read_body(parser, request);
  return got;
}

HttpConnection::Got HttpConnection::read_header(Parser& parser, HttpRequest& request) {
  const Clock::time_point deadline = start_ + shared_.options.header_deadline;
  for (;;) {
    const size_t n = parser.put(boost::asio::buffer(in_), parser.fault);
    in_.erase(0, n);
    if (parser.fault && parser.fault != http::error::need_more) return refuse_parse_error(parser, request);
    if (parser.is_header_done()) break;
    const Received received = receive(deadline);
    if (received == Received::late) return refuse(408, "the request's header did not come in time", nullptr);
    if (received == Received::end) return Got::nothing;
  }
  const auto& message = parser.get();
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  split_target(request);
  for (const auto& field : message) {
    request.headers.push_back({lower({field.name_string().data(), field.name_string().size()}),
                               std::string(field.value().data(), field.value().size())});
  }
  is_http_1_0_ = message.version() < 11;
  keeps_alive_ = parser.keep_alive();
  is_head_ = request.method == "HEAD";
  const std::string fault = header_fault(request, is_http_1_0_);
  if (!fault.empty()) return refuse(400, "the request's header: " + fault, &request);
  const std::string_view coding = request.header("transfer-encoding"), encoding = request.header("content-encoding");
  if (!coding.empty() && lower(coding) != "chunked") return refuse(501, "unknown Transfer-Encoding", &request);
  if (!encoding.empty() && lower(encoding) != "identity") {
    return refuse(415, "expected a body without Content-Encoding", &request);
  }
  return Got::request;
}

HttpConnection::Got HttpConnection::read_body(Parser& parser, HttpRequest& request) {
  if (!parser.is_done()) {
    const std::string expectation = lower(request.header("expect"));
    if (!expectation.empty() && expectation != "100-continue") return refuse(417, "unknown Expect", &request);
    if (!expectation.empty() && in_.empty() && !is_http_1_0_) send_all("HTTP/1.1 100 Continue\r\n\r\n", "");
  }
  const Clock::time_point deadline = Clock::now() + shared_.options.body_deadline;
  while (!parser.is_done()) {
    const size_t n = in_.empty() ? 0 : parser.put(boost::asio::buffer(in_), parser.fault);
    in_.erase(0, n);
    if (parser.fault && parser.fault != http::error::need_more) return refuse_parse_error(parser, request);
    const size_t held = parser.get().body().size();
    if (held > body_bytes_ && !reserve_body(held)) {
      return refuse(503, "too much is being sent; try again later", &request);
    }
    if (parser.is_done()) break;
    if (n > 0 && !in_.empty()) continue;
    if (in_.size() > kMostFraming) return refuse(400, "the body's framing is too long", &request);
    const Received received = receive(deadline);
    if (received == Received::late) return refuse(408, "the request's body did not come in time", &request);
    if (received == Received::end) return Got::nothing;
  }
  request.body = std::move(parser.get().body());
  return Got::request;
}

HttpConnection::Got HttpConnection::refuse_parse_error(const Parser& parser, HttpRequest& request) {
  const auto& message = parser.get();
  if (request.target.empty()) request.target = std::string(message.target());
  split_target(request);
  const HttpRequest* known = request.path == "/" ? nullptr : &request;
  if (parser.fault == http::error::header_limit) {
    return refuse(431, "expected a header of at most " + std::to_string(shared_.options.max_header) + " bytes", known);
  }
  if (parser.fault == http::error::body_limit) {
    return refuse(413, "expected a body of at most " + std::to_string(shared_.options.max_body) + " bytes", known);
  }
  return refuse(400, "no HTTP request: " + parser.fault.message(), known);
}

HttpConnection::Got HttpConnection::refuse(int status, const std::string& message, const HttpRequest* request) {
  keeps_alive_ = false;
  send(shared_.refuse(request, status, message));
  log(request);
  return Got::refused;
}

// A client that ends its sending side looks like one that has closed its socket, until something is sent to it: in both
// cases the request is over (nginx, uvicorn and llama.cpp's server do the same). One that still reads is told why.
void HttpConnection::explain_half_close(const HttpRequest& request) {
  has_left_ = false;
  send(shared_.refuse(&request, 400, "the client ended its sending side before the answer, which counts as leaving"));
}

// Makes what is reserved for this request so many bytes.
bool HttpConnection::reserve_body(uint64_t bytes) {
  const uint64_t more = bytes - body_bytes_;
  if (shared_.body_bytes.fetch_add(more) + more > shared_.options.max_bodies) {
    shared_.body_bytes -= more;
    return false;
  }
  body_bytes_ = bytes;
  return true;
}

void HttpConnection::release_body() noexcept {
  shared_.body_bytes -= body_bytes_;
  body_bytes_ = 0;
}

HttpConnection::Received HttpConnection::receive(Clock::time_point deadline) {
  char bytes[kReceive];
  for (;;) {
    if (poll_until(socket_.get(), POLLIN, deadline) == 0) return Received::late;
    const ssize_t n = recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n > 0) {
      in_.append(bytes, static_cast<size_t>(n));
      return Received::bytes;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    has_left_ = true;
    return Received::end;
  }
}

bool HttpConnection::send_all(std::string_view head, std::string_view body) {
  while (!has_left_ && head.size() + body.size() > 0) {
    const Clock::time_point deadline = Clock::now() + shared_.options.write_deadline;
    for (size_t piece = std::min(kPiece, head.size() + body.size()); piece > 0;) {
      const size_t from_head = std::min(piece, head.size());
      iovec parts[2] = {{const_cast<char*>(head.data()), from_head},
                        {const_cast<char*>(body.data()), std::min(piece - from_head, body.size())}};
      msghdr message = {};
      message.msg_iov = parts;
      message.msg_iovlen = 2;
      const ssize_t n = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) {
        const short events = poll_until(socket_.get(), POLLOUT, deadline);
        if ((events & POLLOUT) != 0) continue;
      }
      if (n < 0) {
        has_left_ = true;
        return false;
      }
      const auto taken = static_cast<size_t>(n);
      sent_ += taken;
      piece -= taken;
      head.remove_prefix(std::min(taken, from_head));
      body.remove_prefix(taken - std::min(taken, from_head));
    }
  }
  return !has_left_;
}

std::string HttpConnection::head_of(const HttpResponse& response, std::string_view framing) const {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string(http_reason(response.status)) +
                     "\r\nDate: " + http_date() + "\r\nServer: gpt2\r\n";
  if (!response.content_type.empty()) head += "Content-Type: " + response.content_type + "\r\n";
  for (const HttpHeader& header : response.headers) head += header.name + ": " + header.value + "\r\n";
  head += framing;
  if (!keeps_alive_) {
    head += "Connection: close\r\n";
  } else if (is_http_1_0_) {
    head += "Connection: keep-alive\r\n";
  }
  return head + "\r\n";
}

void HttpConnection::send(const HttpResponse& response) {
  if (shared_.draining) keeps_alive_ = false;
  status_ = response.status;
  const std::string framing =
      response.status == 204 ? "" : "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  has_ended_ = send_all(head_of(response, framing), is_head_ ? std::string_view() : response.body);
}

// HTTP/1.0 has no chunks: the connection's end is the body's.
void HttpConnection::begin(const HttpResponse& head) {
  status_ = head.status;
  is_chunked_ = !is_http_1_0_;
  if (!is_chunked_ || shared_.draining) keeps_alive_ = false;
  std::string text = head_of(head, is_chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
  send_all(text, "");
  if (!head.body.empty()) write(head.body);
}

bool HttpConnection::write(std::string_view bytes) {
  if (bytes.empty() || is_head_) return !has_left_;
  if (!is_chunked_) return send_all("", bytes);
  char size[24];
  const int n = snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  std::string chunk;
  chunk.reserve(bytes.size() + 32);
  chunk.append(size, static_cast<size_t>(n)).append(bytes).append("\r\n");
  return send_all(chunk, "");
}

void HttpConnection::end() {
  has_ended_ = is_chunked_ && !is_head_ ? send_all("0\r\n\r\n", "") : !has_left_;
}

bool HttpConnection::wait(int fd) {
  while (!has_left_) {
    pollfd waiting[2] = {{socket_.get(), POLLRDHUP, 0}, {fd, POLLIN, 0}};
    if (poll(waiting, 2, -1) < 0 && errno != EINTR) return false;
    if (waiting[0].revents != 0) {
      has_left_ = true;
      has_half_closed_ = (waiting[0].revents & (POLLHUP | POLLERR)) == 0;
    }
    if (!has_left_ && waiting[1].revents != 0) return true;
  }
  return false;
}

// The response reaches a client that still sends only if what it sends is read: a reset would overtake it.
void HttpConnection::linger() noexcept {
  shutdown(socket_.get(), SHUT_WR);
  const Clock::time_point deadline = Clock::now() + std::min(kLinger, shared_.options.header_deadline);
  char bytes[kReceive];
  for (;;) {
    if (poll_until(socket_.get(), POLLIN, deadline) == 0) return;
    const ssize_t n = recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || Clock::now() >= deadline) return;
  }
}

void HttpConnection::log(const HttpRequest* request) {
  if (!shared_.log) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  shared_.log({client_, request, has_left_ && sent_ == 0 ? 0 : status_, sent_, seconds});
}

}  // namespace gpt2
