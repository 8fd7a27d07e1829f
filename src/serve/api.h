// What the protocols of the server share: the model and its engine, errors with a status, and the table of routes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json.h"
#include "src/model/model.h"
#include "src/serve/http.h"
#include "src/text/chat_template.h"

namespace gpt2 {

class RequestCounts;
class Service;

// A request that gets an error. Each protocol has its own form for one.
struct ApiError : std::runtime_error {
  ApiError(int status_code, const std::string& message, std::string parameter = "", std::string error_code = "")
      : std::runtime_error(message), status(status_code), param(std::move(parameter)), code(std::move(error_code)) {}
  int status;
  std::string param;  // the request's key that is at fault; empty: none
  std::string code;   // a word for programs ("context_length_exceeded"); empty: none
};

struct ApiOptions {
  std::string alias;              // what the model is called
  std::string version;            // of the program
  std::vector<std::string> keys;  // that clients may show; empty: none is asked for
  std::string cors_origin;        // whose pages may read answers: one, or "*"; empty: none
  uint32_t max_samples = 128;     // of one request: prompts times samples of each
  std::optional<ChatTemplate> chat;
};

// What handlers answer from. Outlives the routes.
struct Api {
  const Model& model;
  Service& service;
  ApiOptions options;
  uint64_t created = 0;           // seconds since 1970: when the server started
  std::string fingerprint;        // the model's hash and the class of arithmetic
};

// Returns the Api of a model, with what follows from it and from the engine's options filled in.
Api make_api(const Model& model, Service& service, ApiOptions options);

using ErrorForm = HttpResponse (*)(const ApiError& error);
using Handler = std::function<void(const HttpRequest& request, const std::vector<std::string>& names,
                                   ResponseWriter& out)>;

enum class Access { with_key, open };  // open: whoever asks gets an answer

struct Route {
  std::string method;   // GET has HEAD with it
  std::string pattern;  // "/v1/models/{id}": a name stands for one part of the path, percent-decoded
  Handler handler;      // may throw ApiError or Error (exit 4: the request's fault)
  ErrorForm error_form;
  Access access = Access::with_key;
};

class Router {
 public:
  explicit Router(const ApiOptions& options) : options_(options) {}
  void add(Route route) { routes_.push_back(std::move(route)); }
  // What begins with `prefix` and has no route gets errors of this form.
  void add_error_form(std::string prefix, ErrorForm form) { forms_.emplace_back(std::move(prefix), form); }

  // Answers a request, in any thread. Whatever a handler throws becomes a response, or ends one that has begun.
  void handle(const HttpRequest& request, ResponseWriter& out) const;
  // Returns the response to what is no request that a handler could have (HttpServer::Refusal).
  HttpResponse refuse(const HttpRequest* request, int status, const std::string& message) const;

 private:
  ErrorForm form_of(std::string_view path) const;
  bool has_key(const HttpRequest& request) const;
  void check_origin(const HttpRequest& request) const;
  void answer(const HttpRequest& request, ResponseWriter& out) const;

  const ApiOptions& options_;
  std::vector<Route> routes_;
  std::vector<std::pair<std::string, ErrorForm>> forms_;
};

// The protocols; each adds its routes. `api` outlives the router.
void add_openai(const Api& api, Router& router);
void add_kserve(const Api& api, Router& router);
void add_easylm(const Api& api, Router& router);
// Adds /metrics. `requests` outlives the router.
void add_metrics(const Api& api, const RequestCounts& requests, Router& router);
// Adds the playground at / and its files. They are no secret and ask for no key; what they ask the server does.
void add_page(Router& router);

// Returns the JSON of a request's body. Throws ApiError (400) where it is none.
Json parse_body(const HttpRequest& request);

// Returns {"error": {"message", "type", "param", "code"}}, as OpenAI's clients read it.
HttpResponse openai_error(const ApiError& error);

}  // namespace gpt2
