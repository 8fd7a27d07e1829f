#include "src/serve/server.h"

namespace gpt2 {
namespace {

Router make_router(const Api& api) {
  Router router(api.options);
  add_openai(api, router);
  return router;
}

}  // namespace

Server::Server(const Model& model, const ServerOptions& options)
    : service_(model, options.batcher, options.limits),
      api_(make_api(model, service_, options.api)),
      router_(make_router(api_)),
      http_(
          options.http, [this](const HttpRequest& request, ResponseWriter& out) { router_.handle(request, out); },
          [this](const HttpRequest* request, int status, const std::string& message) {
            return router_.refuse(request, status, message);
          },
          options.log) {}

}  // namespace gpt2
