// OpenAI's routes, and those beside them that its clients ask for: the tokenizer's and /health.
#include "src/base/error.h"
#include "src/io/json_object.h"
#include "src/serve/api.h"
#include "src/serve/json_fields.h"
#include "src/serve/openai_reply.h"
#include "src/serve/openai_request.h"
#include "src/serve/service.h"
#include "src/serve/text_run.h"

namespace gpt2 {
namespace {

std::string_view error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

std::string error_body(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? "null" : json_quote(text); };
  JsonObject object;
  object.string("message", error.what())
      .string("type", error_type(error.status))
      .raw("param", text_or_null(error.param))
      .raw("code", text_or_null(error.code));
  return JsonObject().raw("error", object.text()).text();
}

std::string event(std::string_view data) { return "data: " + std::string(data) + "\n\n"; }

// A chunk for each token, as it comes; those of one step are written together. What fails before the first is an
// answer of its own, and later an event.
void stream(const Api& api, OpenAiForm form, const OpenAiRequest& request, ResponseWriter& out) {
  TextRun run(api, request.text);
  OpenAiReply reply(api, form, request);
  HttpResponse head(200, "text/event-stream; charset=utf-8", "");
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  std::string text;
  try {
    if (run.all_ended()) {  // nothing was to be computed
      for (uint32_t i = 0; i < run.choices().size(); ++i) text += event(reply.chunk(run, i));
    }
    while (const auto index = run.next(out)) {
      const std::string chunk = reply.chunk(run, *index);
      if (!chunk.empty()) text += event(chunk);
      if (run.has_next() || text.empty()) continue;
      if (!out.begun()) out.begin(head);
      if (!out.write(text)) return;
      text.clear();
    }
  } catch (const ApiError& error) {
    if (!out.begun()) throw;
    out.write(event(error_body(error)));
    return;
  }
  if (!run.all_ended()) return;
  if (request.include_usage) text += event(reply.usage_chunk(run));
  if (!out.begun()) out.begin(head);
  out.write(text + event("[DONE]"));
  out.end();
}

void complete(const Api& api, OpenAiForm form, const HttpRequest& http, ResponseWriter& out) {
  const auto parse = form == OpenAiForm::chat ? parse_chat_completion : parse_completion;
  const OpenAiRequest request = parse(parse_body(http), api);
  if (request.stream) return stream(api, form, request, out);
  TextRun run(api, request.text);
  if (!run.finish(out)) return;
  out.send(json_response(OpenAiReply(api, form, request).whole(run)));
}

std::string model_object(const Api& api) {
  return JsonObject()
      .string("id", api.options.alias)
      .string("object", "model")
      .whole("created", api.created)
      .string("owned_by", "gpt2")
      .whole("max_model_len", api.model.config().n_ctx)
      .text();
}

void list_models(const Api& api, ResponseWriter& out) {
  out.send(json_response(JsonObject().string("object", "list").raw("data", "[" + model_object(api) + "]").text()));
}

void show_model(const Api& api, const std::string& name, ResponseWriter& out) {
  if (name != api.options.alias) {
    throw ApiError(404, "there is no model \"" + printable(name) + "\" here, but \"" + api.options.alias + "\"",
                   "model", "model_not_found");
  }
  out.send(json_response(model_object(api)));
}

void show_tokenizer(const Api& api, ResponseWriter& out) {
  const Config& config = api.model.config();
  const auto token = [&](TokenId id) {
    return id < 0 ? "null" : json_quote(api.model.tokenizer().token_bytes(id));
  };
  const std::string& chat = api.model.file().chat_template;
  out.send(json_response(
      JsonObject()
          .raw("eos_token", token(config.eos_token_ids.empty() ? -1 : config.eos_token_ids.front()))
          .raw("bos_token", token(config.bos_token_id))
          .raw("pad_token", token(api.model.token_of(TokenRole::pad)))
          .raw("unk_token", token(api.model.token_of(TokenRole::unk)))
          .raw("chat_template", chat.empty() ? "null" : json_quote(chat))
          .whole("vocab_size", api.model.tokenizer().n_tokens())
          .whole("model_max_length", config.n_ctx)
          .text()));
}

// Special tokens in the text are read as such, as lm-eval has it: it asks for the id of "<|endoftext|>" here.
void tokenize(const Api& api, const HttpRequest& http, ResponseWriter& out) {
  const Json json = parse_body(http);
  const JsonFields fields(json);
  const std::optional<std::string> prompt = fields.text("prompt"), content = fields.text("content");
  if (!prompt && !content) throw ApiError(400, "expected the text to tokenize", "prompt");
  const Tokenizer& tokenizer = api.model.tokenizer();
  std::vector<TokenId> ids = tokenizer.encode(prompt ? *prompt : *content, Specials::parse);
  if (!fields.flag(prompt ? "add_special_tokens" : "add_special", prompt.has_value())) {
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(tokenizer.rules().before_text.size()));
  }
  std::string list;
  for (const TokenId id : ids) list += (list.empty() ? "" : ",") + std::to_string(id);
  out.send(json_response(JsonObject()
                             .raw("tokens", "[" + list + "]")
                             .whole("count", ids.size())
                             .whole("max_model_len", api.model.config().n_ctx)
                             .text()));
}

void detokenize(const Api& api, const HttpRequest& http, ResponseWriter& out) {
  const Json json = parse_body(http);
  const JsonFields fields(json);
  const Json* tokens = fields.find("tokens");
  if (tokens == nullptr || tokens->kind != Json::Kind::array) {
    throw ApiError(400, "expected an array of token ids", "tokens");
  }
  const std::string text =
      api.model.tokenizer().decode(token_ids_of(*tokens, api.model.config().n_vocab, "tokens"));
  out.send(json_response(JsonObject().string("prompt", text).string("content", text).text()));
}

void show_health(const Api& api, ResponseWriter& out) {
  if (api.service.failed()) throw ApiError(503, "the engine has failed");
  out.send(json_response(JsonObject().string("status", "ok").text()));
}

}  // namespace

HttpResponse openai_error(const ApiError& error) {
  HttpResponse response = json_response(error_body(error), error.status);
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  if (error.status == 429 || error.status == 503) response.headers.push_back({"Retry-After", "1"});
  return response;
}

void add_openai(const Api& api, Router& router) {
  using Names = std::vector<std::string>;
  const auto add = [&](const char* method, const char* pattern, Handler handler, Access access = Access::with_key) {
    router.add({method, pattern, std::move(handler), openai_error, access});
  };
  const auto complete_as = [&api](OpenAiForm form) {
    return [&api, form](const HttpRequest& http, const Names&, ResponseWriter& out) { complete(api, form, http, out); };
  };
  add("POST", "/v1/completions", complete_as(OpenAiForm::completion));
  add("POST", "/v1/chat/completions", complete_as(OpenAiForm::chat));
  add("GET", "/v1/models", [&api](const HttpRequest&, const Names&, ResponseWriter& out) { list_models(api, out); });
  add("GET", "/v1/models/{id}", [&api](const HttpRequest&, const Names& names, ResponseWriter& out) {
    show_model(api, names[0], out);
  });
  add("GET", "/tokenizer_info",
      [&api](const HttpRequest&, const Names&, ResponseWriter& out) { show_tokenizer(api, out); });
  add("POST", "/tokenize",
      [&api](const HttpRequest& http, const Names&, ResponseWriter& out) { tokenize(api, http, out); });
  add("POST", "/detokenize",
      [&api](const HttpRequest& http, const Names&, ResponseWriter& out) { detokenize(api, http, out); });
  for (const char* path : {"/health", "/v1/health"}) {
    add("GET", path, [&api](const HttpRequest&, const Names&, ResponseWriter& out) { show_health(api, out); },
        Access::open);
  }
}

}  // namespace gpt2
