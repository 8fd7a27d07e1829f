// The playground: three files that are linked into the program (page_files.S) and nothing from anywhere else, which the
// policy in the header holds the browser to.
#include <string>
#include <string_view>

#include "src/serve/api.h"

extern "C" const char gpt2_page_html[], gpt2_page_html_end[], gpt2_page_css[], gpt2_page_css_end[], gpt2_page_js[],
    gpt2_page_js_end[];

namespace gpt2 {
namespace {

// No inline script, style or event handler runs, no form is sent and no page frames this one.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

HttpResponse page_file(const char* type, std::string_view text) {
  HttpResponse response(200, type, std::string(text));
  response.headers = {{"Content-Security-Policy", kPolicy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-cache"}};
  return response;
}

void add_file(Router& router, const char* path, const char* type, std::string_view text) {
  const auto handler = [type, text](const HttpRequest& /*request*/, const std::vector<std::string>& /*names*/,
                                    ResponseWriter& out) { out.send(page_file(type, text)); };
  router.add({"GET", path, handler, openai_error, Access::open});
}

}  // namespace

void add_page(Router& router) {
  add_file(router, "/", "text/html; charset=utf-8", {gpt2_page_html, gpt2_page_html_end});
  add_file(router, "/page.css", "text/css; charset=utf-8", {gpt2_page_css, gpt2_page_css_end});
  add_file(router, "/page.js", "text/javascript; charset=utf-8", {gpt2_page_js, gpt2_page_js_end});
}

}  // namespace gpt2
