// The whole server: engine, routes and sockets, in the order in which they need each other.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "src/serve/api.h"
#include "src/serve/http_server.h"
#include "src/serve/metrics.h"
#include "src/serve/service.h"

namespace gpt2 {

struct ServerOptions {
  BatcherOptions batcher;
  ServiceLimits limits;
  HttpOptions http;
  ApiOptions api;
  HttpServer::Log log;
};

class Server {
 public:
  // Runs from here on. `model` outlives the server. Throws Error where the engine cannot be made or the address is not
  // free.
  Server(const Model& model, const ServerOptions& options);

  std::string address() const { return http_.address(); }
  uint16_t port() const noexcept { return http_.port(); }
  // As HttpServer::stop().
  bool stop(std::chrono::milliseconds grace) { return http_.stop(grace); }
  const Service& service() const noexcept { return service_; }
  const HttpServer& http() const noexcept { return http_; }

 private:
  Service service_;
  Api api_;
  RequestCounts requests_;
  Router router_;
  HttpServer http_;  // last: it ends first
};

}  // namespace gpt2
