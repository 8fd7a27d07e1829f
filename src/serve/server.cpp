#include "src/serve/server.h"

namespace gpt2 {
namespace {

Router make_router(const Api& api, const RequestCounts& requests) {
  Router router(api.options);
  add_openai(api, router);
  add_kserve(api, router);
  add_easylm(api, router);
  add_metrics(api, requests, router);
  add_page(router);
  return router;
}

}  // namespace

Server::Server(const Model& model, const ServerOptions& options)
    : service_(model, options.batcher, options.limits),
      api_(make_api(model, service_, options.api)),
      router_(make_router(api_, requests_)),
      http_(
          options.http, [this](const HttpRequest& request, ResponseWriter& out) { router_.handle(request, out); },
          [this](const HttpRequest* request, int status, const std::string& message) {
            return router_.refuse(request, status, message);
          },
          [this, log = options.log](const HttpRecord& record) {
            requests_.count(record.status);
            if (log) log(record);
          }) {}

}  // namespace gpt2
