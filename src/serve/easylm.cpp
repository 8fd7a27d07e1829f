// The protocol of EasyLM's LMServer, as its LMClient speaks it: lists of prefixes and texts, scored or continued. As
// there, a text is the beginning-of-text token, the prefix's tokens and the text's tokens, each made on its own; unlike
// there, what does not fit the context is refused, not cut.
#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include "src/engine/chat.h"
#include "src/io/json_object.h"
#include "src/serve/api.h"
#include "src/serve/json_fields.h"
#include "src/serve/text_run.h"

namespace gpt2 {
namespace {

constexpr double kHottest = 1000;
constexpr size_t kPartsTogether = 64, kMostStops = 64;

HttpResponse easylm_error(const ApiError& error) {
  return json_response(JsonObject().string("error", error.what()).text(), error.status);
}

// A list of texts, which may be empty.
std::vector<std::string> texts_of(const JsonFields& fields, std::string_view key, const Json& list) {
  if (list.kind != Json::Kind::array) fields.refuse(key, "an array of strings", list);
  std::vector<std::string> texts;
  for (const Json& text : list.array) {
    if (text.kind != Json::Kind::string) fields.refuse(key, "an array of strings", text);
    texts.push_back(text.string);
  }
  return texts;
}

std::vector<std::string> texts_of(const Api& api, const JsonFields& fields, std::string_view key) {
  const Json* list = fields.find(key);
  if (list == nullptr) throw ApiError(400, std::string(key) + ": expected an array of strings", std::string(key));
  std::vector<std::string> texts = texts_of(fields, key, *list);
  const size_t most = api.options.max_samples;
  if (texts.empty() || texts.size() > most) fields.refuse(key, "1 to " + std::to_string(most) + " strings", *list);
  return texts;
}

// The prefix of each of n texts; where there are none, empty ones.
std::vector<std::string> prefixes_of(const JsonFields& fields, size_t n) {
  const Json* list = fields.find("prefix_text");
  if (list == nullptr) return std::vector<std::string>(n);
  std::vector<std::string> prefixes = texts_of(fields, "prefix_text", *list);
  if (prefixes.size() != n) fields.refuse("prefix_text", "as many strings as text has", *list);
  return prefixes;
}

// The beginning-of-text token and the prefix.
std::vector<TokenId> prefix_tokens(const Api& api, const std::string& prefix) {
  std::vector<TokenId> tokens;
  api.model.tokenizer().encode(prefix, Specials::as_text, tokens);
  const TokenId bos = api.model.config().bos_token_id;
  if (bos >= 0 && (tokens.empty() || tokens[0] != bos)) tokens.insert(tokens.begin(), bos);
  begin_text(api.model, tokens, "prefix_text");
  return tokens;
}

// A text, or a window of it, whose tokens from `first` on are scored.
struct Part {
  size_t text = 0;
  std::vector<TokenId> tokens;
  uint32_t first = 1;
};

struct Likelihood {
  double sum = 0;
  bool is_greedy = true;
};

// Takes what the job says until all its works have ended. Returns false if the client has left.
bool take_scores(const Api& api, Job& job, std::span<const Part> parts, std::vector<Likelihood>& likelihoods,
                 ResponseWriter& out) {
  for (size_t n_open = parts.size(); n_open > 0;) {
    const std::vector<JobEvent> events = job.take();
    if (events.empty() && !out.wait(job.ready_fd())) return false;
    for (const JobEvent& event : events) {
      if (event.finish == FinishReason::nonfinite) throw ApiError(500, api.service.nonfinite_reason());
      Likelihood& likelihood = likelihoods[parts[event.prompt].text];
      for (const TokenScore& token : event.scores) {
        likelihood.sum += token.logprob;
        likelihood.is_greedy = likelihood.is_greedy && token.best.token == token.token;
      }
      n_open -= event.finish != FinishReason::running;
    }
  }
  return true;
}

// Scores the parts, some together, and answers with what they come to by text.
void answer_scores(const Api& api, std::span<const Part> parts, size_t n_texts, ResponseWriter& out) {
  std::vector<Likelihood> likelihoods(n_texts);
  for (size_t begin = 0; begin < parts.size(); begin += kPartsTogether) {
    const auto some = parts.subspan(begin, std::min(kPartsTogether, parts.size() - begin));
    std::vector<Work> works(some.size());
    for (size_t i = 0; i < some.size(); ++i) {
      works[i].prompt = some[i].tokens;
      works[i].request.max_new_tokens = 0;
      works[i].request.scores.first = some[i].first;
    }
    const std::unique_ptr<Job> job = api.service.submit(std::move(works));
    if (!take_scores(api, *job, some, likelihoods, out)) return;
  }
  std::string sums, greedy;
  for (const Likelihood& likelihood : likelihoods) {
    sums += (sums.empty() ? "" : ",") + json_number(likelihood.sum);
    greedy += std::string(greedy.empty() ? "" : ",") + (likelihood.is_greedy ? "true" : "false");
  }
  out.send(json_response(
      JsonObject().raw("log_likelihood", "[" + sums + "]").raw("is_greedy", "[" + greedy + "]").text()));
}

void loglikelihood(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Json body = parse_body(request);
  const JsonFields fields(body);
  const std::vector<std::string> texts = texts_of(api, fields, "text");
  const std::vector<std::string> prefixes = prefixes_of(fields, texts.size());
  const size_t most = size_t{api.model.config().n_ctx} + 1;  // the last token is not computed
  std::vector<Part> parts;
  for (size_t i = 0; i < texts.size(); ++i) {
    Part part = {i, prefix_tokens(api, prefixes[i]), 0};
    part.first = static_cast<uint32_t>(part.tokens.size());
    api.model.tokenizer().encode_behind(texts[i], Specials::as_text, part.tokens);
    if (part.tokens.size() > most) {
      throw ApiError(400, "text " + std::to_string(i) + " and its prefix have " + std::to_string(part.tokens.size()) +
                              " tokens, the model's context only " + std::to_string(most), "text");
    }
    parts.push_back(std::move(part));
  }
  answer_scores(api, parts, texts.size(), out);
}

// Cuts a text into windows of the context's length that each follow the one before; the last begins earlier, so that it
// is as long as the others, and scores only what they have not.
void append_windows(const Api& api, size_t text, std::span<const TokenId> tokens, std::vector<Part>& parts) {
  const size_t n_ctx = api.model.config().n_ctx, n_scored = tokens.size() - 1;
  for (size_t begin = 0; begin < n_scored; begin += n_ctx) {
    const size_t end = std::min(begin + n_ctx, n_scored), start = end > n_ctx ? end - n_ctx : 0;
    const auto window = tokens.subspan(start, end - start + 1);
    parts.push_back({text, {window.begin(), window.end()}, static_cast<uint32_t>(begin - start + 1)});
  }
}

void loglikelihood_rolling(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Json body = parse_body(request);
  const std::vector<std::string> texts = texts_of(api, JsonFields(body), "text");
  std::vector<Part> parts;
  for (size_t i = 0; i < texts.size(); ++i) append_windows(api, i, prefix_tokens(api, texts[i]), parts);
  answer_scores(api, parts, texts.size(), out);
}

// Returns a continuation for each prompt; nothing if the client has left.
std::optional<std::vector<std::string>> continued(const Api& api, TextRequest text, ResponseWriter& out) {
  text.request.seed = fresh_seed();
  for (const auto& prompt : text.prompts) check_fits(api.model, prompt, text.request, "prefix_text");
  TextRun run(api, text);
  if (!run.finish(out)) return std::nullopt;
  std::vector<std::string> texts;
  for (Choice& choice : run.choices()) texts.push_back(choice.builder.sample().text);
  return texts;
}

void answer_texts(const std::optional<std::vector<std::string>>& texts, ResponseWriter& out) {
  if (!texts) return;
  std::string quoted;
  for (const std::string& text : *texts) quoted += (quoted.empty() ? "" : ",") + json_quote(text);
  out.send(json_response(JsonObject().raw("output_text", "[" + quoted + "]").text()));
}

// Greedy text as long as the context allows.
TextRequest greedy_request(const Api& api) {
  TextRequest text;
  text.request.max_new_tokens = api.model.config().n_ctx;
  text.request.sampling.greedy = true;
  text.request.sampling.top_k = 0;
  return text;
}

// The same, drawn with the temperature that the request asks for.
TextRequest text_request(const Api& api, const JsonFields& fields) {
  TextRequest text = greedy_request(api);
  text.request.sampling.greedy = false;
  set_temperature(text.request.sampling, static_cast<float>(fields.real("temperature", 0, kHottest).value_or(1)));
  return text;
}

void generate(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Json body = parse_body(request);
  const JsonFields fields(body);
  TextRequest text = text_request(api, fields);
  for (const std::string& prefix : texts_of(api, fields, "prefix_text"))
    text.prompts.push_back(prefix_tokens(api, prefix));
  answer_texts(continued(api, std::move(text), out), out);
}

// The stop strings of each prefix: one list for all, or one for each.
std::vector<std::vector<std::string>> stops_of(const JsonFields& fields, size_t n) {
  const Json* until = fields.find("until");
  if (until == nullptr || until->kind != Json::Kind::array)
    throw ApiError(400, "until: expected an array of strings, or one for each prefix_text", "until");
  std::vector<std::vector<std::string>> stops;
  if (until->array.empty() || until->array[0].kind != Json::Kind::array) {
    stops.assign(n, texts_of(fields, "until", *until));
  } else {
    if (until->array.size() != n) fields.refuse("until", std::to_string(n) + " arrays", *until);
    for (const Json& some : until->array) stops.push_back(texts_of(fields, "until", some));
  }
  for (std::vector<std::string>& some : stops) {
    if (some.size() > kMostStops) throw ApiError(400, "until: expected at most 64 strings", "until");
    std::erase(some, "");
  }
  return stops;
}

void greedy_until(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Json body = parse_body(request);
  const JsonFields fields(body);
  const std::vector<std::string> prefixes = texts_of(api, fields, "prefix_text");
  const std::vector<std::vector<std::string>> stops = stops_of(fields, prefixes.size());
  std::vector<std::string> texts;
  for (size_t begin = 0, end = 0; begin < prefixes.size(); begin = end) {  // those with the same stops together
    TextRequest text = greedy_request(api);
    for (; end < prefixes.size() && stops[end] == stops[begin]; ++end)
      text.prompts.push_back(prefix_tokens(api, prefixes[end]));
    text.stops = stops[begin];
    const auto some = continued(api, std::move(text), out);
    if (!some) return;
    texts.insert(texts.end(), some->begin(), some->end());
  }
  answer_texts(texts, out);
}

std::string message(std::string_view role, std::string_view content) {
  return JsonObject().string("role", role).string("content", content).text();
}

// The messages of a conversation with a further one, as JSON.
std::string with_message(std::string_view messages, const std::string& added) {
  if (messages.empty() || messages == "[]") return "[" + added + "]";
  return std::string(messages.substr(0, messages.size() - 1)) + "," + added + "]";
}

std::vector<TokenId> chat_tokens(const Api& api, const std::string& messages) {
  Json json;
  if (read_json(messages, json)) throw ApiError(400, "context: expected what /chat answered, or nothing", "context");
  std::vector<TokenId> tokens;
  append_chat_tokens(api.model, render_chat(*api.options.chat, messages_from_json(json), Reply::begins), tokens);
  return tokens;
}

// A conversation. The client gives back the context that it got, nothing at first: the text so far, or, for a model
// with a chat template, the messages as JSON.
void chat(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Json body = parse_body(request);
  const JsonFields fields(body);
  const std::string prompt = fields.text("prompt").value_or(""), context = fields.text("context").value_or("");
  const bool has_template = api.options.chat.has_value();
  const std::string so_far = has_template ? with_message(context, message("user", prompt)) : context + prompt;
  TextRequest text = text_request(api, fields);
  text.prompts.push_back(has_template ? chat_tokens(api, so_far) : prefix_tokens(api, so_far));
  if (has_template) text.stops.emplace_back(end_of_message(api.options.chat->form));
  std::erase(text.stops, "");
  const float temperature = text.request.sampling.greedy ? 0 : text.request.sampling.temperature;
  const auto responses = continued(api, std::move(text), out);
  if (!responses) return;
  const std::string& response = responses->front();
  const std::string next = has_template ? with_message(so_far, message("assistant", response)) : so_far + response;
  out.send(json_response(JsonObject()
                             .string("response", response)
                             .string("context", next)
                             .real("temperature", temperature)
                             .text()));
}

}  // namespace

void add_easylm(const Api& api, Router& router) {
  using Answer = void (*)(const Api&, const HttpRequest&, ResponseWriter&);
  const auto add = [&](const char* path, Answer answer) {
    const auto handler = [&api, answer](const HttpRequest& request, const std::vector<std::string>& /*names*/,
                                        ResponseWriter& out) { answer(api, request, out); };
    router.add_error_form(path, easylm_error);
    router.add({"POST", path, handler, easylm_error});
  };
  add("/loglikelihood", loglikelihood);
  add("/loglikelihood-rolling", loglikelihood_rolling);
  add("/greedy-until", greedy_until);
  add("/generate", generate);
  add("/chat", chat);
  const auto ready = [](const HttpRequest& /*request*/, const std::vector<std::string>& /*names*/,
                        ResponseWriter& out) { out.send(json_response(json_quote("Ready!\n"))); };
  router.add({"GET", "/ready", ready, easylm_error, Access::open});
}

}  // namespace gpt2
