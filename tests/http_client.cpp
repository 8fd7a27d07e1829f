#include "tests/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/kernels.h"

namespace gpt2::test {
namespace {

constexpr int kPatience = 60'000;

}  // namespace

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view headers) {
  std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" +
                     std::string(headers);
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + std::string(body);
}

HttpClient::HttpClient(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool HttpClient::fill() {
  pollfd waiting = {socket_.get(), POLLIN, 0};
  if (poll(&waiting, 1, kPatience) <= 0) throw std::runtime_error("no answer in a minute");
  char bytes[65536];
  const ssize_t n = recv(socket_.get(), bytes, sizeof bytes, 0);
  if (n > 0) in_.append(bytes, static_cast<size_t>(n));
  return n > 0;
}

std::string HttpClient::take(size_t n) {
  while (in_.size() < n && fill()) {
  }
  const std::string bytes = in_.substr(0, n);
  in_.erase(0, n);
  return bytes;
}

std::string HttpClient::receive_until(std::string_view end) {
  while (in_.find(end) == std::string::npos && fill()) {
  }
  const size_t at = in_.find(end);
  return take(at == std::string::npos ? in_.size() : at + end.size());
}

HttpReply HttpClient::receive() {
  HttpReply reply;
  const std::string head = receive_until("\r\n\r\n");
  if (!head.starts_with("HTTP/1.1 ")) return reply;
  reply.status = std::stoi(head.substr(9, 3));
  for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    const size_t end = head.find("\r\n", at), colon = head.find(": ", at);
    std::string name = head.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return static_cast<char>(tolower(c)); });
    reply.headers[name] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (reply.status == 100 || reply.status == 204) return reply;
  if (reply.headers.count("content-length") > 0) {
    reply.body = take(std::stoul(reply.headers["content-length"]));
  } else if (reply.headers["transfer-encoding"] == "chunked") {
    for (;;) {
      const std::string line = receive_until("\r\n");
      if (line.empty()) {
        reply.status = 0;  // cut
        break;
      }
      const size_t n = std::stoul(line, nullptr, 16);
      reply.body += take(n);
      take(2);
      if (n == 0) break;
    }
  } else {
    while (fill()) {
    }
    reply.body = std::move(in_);
    in_.clear();
  }
  return reply;
}

HttpReply HttpClient::ask(std::string_view method, std::string_view path, std::string_view body,
                          std::string_view headers) {
  send(http_request(method, path, body, headers));
  return receive();
}

bool HttpClient::is_at_end() { return in_.empty() && !fill(); }

void HttpClient::end_sending() { shutdown(socket_.get(), SHUT_WR); }

void HttpClient::reset() {
  const linger now = {1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket_ = FileDescriptor();
}

ServerOptions local_server(uint32_t slots) {
  ServerOptions options;
  options.batcher.engine.kernels = runnable_kernels().tables[0];
  options.batcher.engine.max_slots = slots;
  options.batcher.engine.prefix_cache = true;
  options.http.port = 0;
  options.api.alias = "books";
  return options;
}

}  // namespace gpt2::test
