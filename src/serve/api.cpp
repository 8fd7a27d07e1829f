#include "src/serve/api.h"

#include <algorithm>
#include <ctime>
#include <new>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/engine/prompt_cache.h"
#include "src/io/json_object.h"
#include "src/serve/service.h"

namespace gpt2 {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Returns nothing for a % that no two hexadecimal digits follow.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(16 * high + low);
    i += 2;
  }
  return out;
}

// Takes the part of a path up to the next slash.
std::string_view next_part(std::string_view& path) {
  const size_t end = std::min(path.find('/'), path.size());
  const std::string_view part = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return part;
}

// Whether a path is of the pattern; `names` becomes what stands for the pattern's names.
bool matches(std::string_view pattern, std::string_view path, std::vector<std::string>& names) {
  names.clear();
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_part(pattern), part = next_part(path);
    if (!wanted.starts_with('{')) {
      if (wanted != part) return false;
      continue;
    }
    std::optional<std::string> name = percent_decoded(part);
    if (!name || name->empty()) return false;
    names.push_back(std::move(*name));
  }
  return pattern.empty() && path.empty();
}

bool is_method(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

// Takes the same time for every text of the same length.
bool is_same_key(std::string_view shown, std::string_view key) noexcept {
  unsigned difference = shown.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < shown.size(); ++i) {
    difference |= static_cast<unsigned char>(shown[i] ^ key[i < key.size() ? i : 0]);
  }
  return difference == 0;
}

// Adds a header to every response.
class OriginWriter final : public ResponseWriter {
 public:
  OriginWriter(ResponseWriter& out, const std::string& origin) : out_(out), origin_(origin) {}
  void send(const HttpResponse& response) override { out_.send(with_origin(response)); }
  void begin(const HttpResponse& head) override { out_.begin(with_origin(head)); }
  bool write(std::string_view bytes) override { return out_.write(bytes); }
  void end() override { out_.end(); }
  bool begun() const noexcept override { return out_.begun(); }
  bool wait(int fd) override { return out_.wait(fd); }

 private:
  HttpResponse with_origin(HttpResponse response) const {
    response.headers.push_back({"Access-Control-Allow-Origin", origin_});
    response.headers.push_back({"Vary", "Origin"});
    return response;
  }
  ResponseWriter& out_;
  const std::string& origin_;
};

}  // namespace

Api make_api(const Model& model, Service& service, ApiOptions options) {
  const std::string fingerprint = "fp_" + hex64(model.file().header_hash) + "_" +
                                  class_of_arithmetic(model, service.engine_options()) + "_" +
                                  (service.engine_options().kv_type == KvType::f32 ? "kv32" : "kv16");
  return {model, service, std::move(options), static_cast<uint64_t>(std::time(nullptr)), fingerprint};
}

Json parse_body(const HttpRequest& request) {
  Json json;
  if (request.body.empty()) throw ApiError(400, "expected a body of JSON, found none");
  if (const auto fault = read_json(request.body, json)) {
    throw ApiError(400, "the body is no JSON at byte " + std::to_string(fault->offset) + ": expected " +
                            fault->expected + ", found " + fault->found);
  }
  return json;
}

ErrorForm Router::form_of(std::string_view path) const {
  for (const auto& [prefix, form] : forms_) {
    if (path.starts_with(prefix)) return form;
  }
  return openai_error;
}

bool Router::has_key(const HttpRequest& request) const {
  if (options_.keys.empty()) return true;
  constexpr std::string_view kBearer = "Bearer ";
  std::string_view shown = request.header("authorization");
  if (!shown.starts_with(kBearer)) return false;
  shown.remove_prefix(kBearer.size());
  bool found = false;
  for (const std::string& key : options_.keys) found |= is_same_key(shown, key);
  return found;
}

// A page from elsewhere must not make its visitor's browser ask for work: browsers name the page in Origin.
void Router::check_origin(const HttpRequest& request) const {
  std::string_view origin = request.header("origin");
  if (origin.empty() || options_.cors_origin == "*" || origin == options_.cors_origin) return;
  const size_t scheme = origin.find("://");
  origin.remove_prefix(scheme == std::string_view::npos ? 0 : scheme + 3);
  if (origin != request.header("host")) {
    throw ApiError(403, "pages of another origin may not ask this server (--cors ORIGIN lets them)");
  }
}

void Router::answer(const HttpRequest& request, ResponseWriter& out) const {
  std::vector<std::string> names;
  std::string allowed;
  check_origin(request);
  for (const Route& route : routes_) {
    if (!matches(route.pattern, request.path, names)) continue;
    if (is_method(route, request.method)) {
      if (route.access == Access::with_key && !has_key(request)) {
        throw ApiError(401, "expected a valid key (Authorization: Bearer KEY)", "", "invalid_api_key");
      }
      route.handler(request, names, out);
      return;
    }
    allowed += (allowed.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
  }
  if (allowed.empty()) throw ApiError(404, "there is nothing at " + printable(request.path), "", "not_found");
  const bool is_preflight = request.method == "OPTIONS" && !options_.cors_origin.empty();
  HttpResponse response = is_preflight ? HttpResponse(204, "", "")
                                       : form_of(request.path)(ApiError(405, "expected the method " + allowed));
  response.headers.push_back({"Allow", allowed});
  if (is_preflight) {
    response.headers.push_back({"Access-Control-Allow-Methods", allowed});
    response.headers.push_back({"Access-Control-Allow-Headers", "authorization, content-type"});
  }
  out.send(response);
}

void Router::handle(const HttpRequest& request, ResponseWriter& out) const {
  OriginWriter with_origin(out, options_.cors_origin);
  ResponseWriter& writer = options_.cors_origin.empty() ? out : with_origin;
  const auto refuse_with = [&](const ApiError& error) {
    if (!writer.begun()) writer.send(form_of(request.path)(error));
  };
  try {
    answer(request, writer);
  } catch (const ApiError& error) {
    refuse_with(error);
  } catch (const Error& error) {
    refuse_with(ApiError(error.code() == ExitCode::input ? 400 : 500, error.what()));
  } catch (const std::bad_alloc&) {
    refuse_with(ApiError(503, "out of memory"));
  } catch (const std::exception& error) {
    refuse_with(ApiError(500, std::string("internal error: ") + error.what()));
  }
}

HttpResponse Router::refuse(const HttpRequest* request, int status, const std::string& message) const {
  return form_of(request != nullptr ? std::string_view(request->path) : "")(ApiError(status, message));
}

}  // namespace gpt2
