#include "src/serve/openai_request.h"

#include <algorithm>
#include <limits>

#include "src/base/error.h"
#include "src/engine/chat.h"
#include "src/engine/infill.h"
#include "src/serve/json_fields.h"

namespace gpt2 {
namespace {

constexpr uint32_t kMostTokens = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kDefaultTokens = 16;      // of a completion, as OpenAI has it
constexpr size_t kMostStops = 64;
constexpr float kMostBias = 1000;
// Log-probabilities that one answer may list: about 100 MB of JSON.
constexpr uint64_t kMostListed = 1 << 20;

// Keys that would change the answer, and what they may be all the same.
struct Unsupported {
  std::string_view key;
  bool (*is_harmless)(const Json& value);
};
bool never(const Json&) { return false; }
bool is_empty(const Json& value) {
  return (value.kind == Json::Kind::array && value.array.empty()) ||
         (value.kind == Json::Kind::object && value.object.empty()) ||
         (value.kind == Json::Kind::string && value.string.empty());
}
bool is_false(const Json& value) { return value.kind == Json::Kind::boolean && !value.boolean; }
bool is_none(const Json& value) { return value.string == "none"; }
bool is_text_format(const Json& value) {
  const Json* type = value.find("type");
  return type != nullptr && type->string == "text";
}
bool is_text_only(const Json& value) {
  return value.kind == Json::Kind::array && value.array.size() == 1 && value.array[0].string == "text";
}
constexpr Unsupported kUnsupported[] = {
    {"tools", is_empty},
    {"tool_choice", is_none},
    {"functions", is_empty},
    {"function_call", is_none},
    {"response_format", is_text_format},
    {"modalities", is_text_only},
    {"audio", never},
    {"prediction", never},
    {"web_search_options", never},
    {"guided_json", never},
    {"guided_regex", never},
    {"guided_choice", never},
    {"guided_grammar", never},
    {"structured_outputs", never},
    {"grammar", is_empty},
    {"json_schema", never},
    {"logits_processors", is_empty},
    {"use_beam_search", is_false},
    {"prompt_embeds", never},
    {"prompt_logprobs", never},
    {"truncate_prompt_tokens", never},
    {"allowed_token_ids", is_empty},
    {"bad_words", is_empty},
    {"stop_token_ids", is_empty},
};

void refuse_unsupported(const JsonFields& fields) {
  for (const auto& [key, is_harmless] : kUnsupported) {
    const Json* found = fields.find(key);
    if (found == nullptr || is_harmless(*found)) continue;
    throw ApiError(400, std::string(key) + " is not supported", std::string(key), "unsupported_parameter");
  }
}

uint32_t whole_or(const JsonFields& fields, std::string_view key, uint32_t otherwise, uint64_t least, uint64_t most) {
  return static_cast<uint32_t>(fields.whole(key, least, most).value_or(otherwise));
}

float real_or(const JsonFields& fields, std::string_view key, double otherwise, double least, double most) {
  return static_cast<float>(fields.real(key, least, most).value_or(otherwise));
}

SamplingOptions parse_sampling(const JsonFields& fields, const Config& config) {
  SamplingOptions sampling;
  sampling.logit_bias = fields.biases("logit_bias", config.n_vocab, kMostBias);
  sampling.repetition_penalty = real_or(fields, "repetition_penalty", 1, 0.001, 1000);
  sampling.frequency_penalty = real_or(fields, "frequency_penalty", 0, -2, 2);
  sampling.presence_penalty = real_or(fields, "presence_penalty", 0, -2, 2);
  sampling.no_repeat_ngram = whole_or(fields, "no_repeat_ngram_size", 0, 0, kMostTokens);
  sampling.min_new_tokens = whole_or(fields, "min_tokens", 0, 0, kMostTokens);
  set_temperature(sampling, real_or(fields, "temperature", 1, 0, 1000));
  // Other servers take -1 for "all".
  const Json* top_k = fields.find("top_k");
  const bool is_all = top_k != nullptr && top_k->kind == Json::Kind::integer && top_k->integer == -1;
  sampling.top_k = is_all ? 0 : whole_or(fields, "top_k", 0, 0, kMostTokens);
  sampling.top_p = real_or(fields, "top_p", 1, 0, 1);
  sampling.min_p = real_or(fields, "min_p", 0, 0, 1);
  sampling.typical_p = real_or(fields, "typical_p", 1, 0, 1);
  return sampling;
}

// What completions and chat completions have in common, but for lengths and log-probabilities.
void parse_common(const JsonFields& fields, const Api& api, OpenAiRequest& request) {
  refuse_unsupported(fields);
  static_cast<void>(fields.text("model"));
  TextRequest& text = request.text;
  text.request.sampling = parse_sampling(fields, api.model.config());
  text.request.seed = fields.seed("seed").value_or(fresh_seed());
  text.request.ignore_eos = fields.flag("ignore_eos");
  for (std::string& stop : fields.texts("stop", kMostStops)) text.stops.push_back(std::move(stop));
  if (fields.flag("include_stop_str_in_output")) text.keep_stop = StopMatcher::Keep::stop;
  request.n = whole_or(fields, "n", 1, 1, api.options.max_samples);
  text.n_samples = request.n;
  request.stream = fields.flag("stream");
  if (const Json* options = fields.find("stream_options")) {
    request.include_usage = request.stream && JsonFields(*options).flag("include_usage");
  }
}

void set_logprobs(uint32_t n_listed, OpenAiRequest& request) {
  request.lists_logprobs = true;
  request.text.n_listed = n_listed;
  request.text.request.n_logprobs = std::max(n_listed, 1u);
}

// Bounds what the answer holds.
void check_size(const Api& api, const OpenAiRequest& request) {
  const TextRequest& text = request.text;
  const uint64_t n_samples = text.prompts.size() * uint64_t{text.n_samples};
  if (n_samples > api.options.max_samples) {
    throw ApiError(400,
                   "expected at most " + std::to_string(api.options.max_samples) + " texts of one request, found " +
                       std::to_string(n_samples),
                   "n");
  }
  if (!request.lists_logprobs) return;
  uint64_t n_tokens = 0;
  for (const auto& prompt : text.prompts) {
    const uint64_t room = api.model.config().n_ctx - std::min<uint64_t>(prompt.size(), api.model.config().n_ctx) + 1;
    n_tokens += (request.echo ? prompt.size() : 0) + std::min<uint64_t>(text.request.max_new_tokens, room);
  }
  const uint64_t n_listed = n_tokens * text.n_samples * (text.n_listed + 1);
  if (n_listed <= kMostListed) return;
  throw ApiError(400, "expected at most " + std::to_string(kMostListed) + " log-probabilities in an answer, found " +
                          std::to_string(n_listed),
                 "logprobs");
}

void parse_prompts(const JsonFields& fields, const Api& api, OpenAiRequest& request) {
  const Model& model = api.model;
  const Tokenizer& tokenizer = model.tokenizer();
  const Specials specials = fields.flag("special") ? Specials::parse : Specials::as_text;
  std::vector<std::vector<TokenId>>& prompts = request.text.prompts;
  const Json none, *found = fields.find("prompt");
  const Json& prompt = found != nullptr ? *found : none;
  const auto add_text = [&](const std::string& text) {
    prompts.push_back(tokenizer.encode(text, specials));
    request.echoed.push_back(text);
  };
  const auto add_ids = [&](const Json& ids) {
    prompts.push_back(token_ids_of(ids, model.config().n_vocab, "prompt"));
    request.echoed.push_back(tokenizer.decode(prompts.back()));
  };
  switch (prompt.kind) {
    case Json::Kind::null: add_text(""); break;
    case Json::Kind::string: add_text(prompt.string); break;
    case Json::Kind::array:
      if (prompt.array.empty()) fields.refuse("prompt", "a prompt", prompt);
      if (prompt.array.size() > api.options.max_samples && prompt.array[0].kind != Json::Kind::integer) {
        fields.refuse("prompt", "at most " + std::to_string(api.options.max_samples) + " prompts", prompt);
      }
      if (prompt.array[0].kind == Json::Kind::integer) {
        add_ids(prompt);
        break;
      }
      for (const Json& one : prompt.array) {
        if (one.kind == Json::Kind::string) {
          add_text(one.string);
        } else if (one.kind == Json::Kind::array) {
          add_ids(one);
        } else {
          fields.refuse("prompt", "strings, or arrays of token ids", one);
        }
      }
      break;
    default: fields.refuse("prompt", "a string, strings, token ids, or arrays of token ids", prompt);
  }
  for (auto& ids : prompts) begin_text(model, ids, "prompt");
}

// The texts before and behind a gap.
void parse_gap(const JsonFields& fields, const Api& api, const std::string& suffix, OpenAiRequest& request) {
  const Json* prompt = fields.find("prompt");
  if (prompt != nullptr && prompt->kind != Json::Kind::string) {
    fields.refuse("prompt", "one string before a suffix", *prompt);
  }
  try {
    request.text.prompts.push_back(
        infill_prompt(api.model, {prompt != nullptr ? prompt->string : "", suffix}, Specials::as_text));
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "suffix");
  }
  request.echoed.push_back(prompt != nullptr ? prompt->string : "");
  for (std::string& end : infill_ends(api.model)) request.text.stops.push_back(std::move(end));
}

}  // namespace

OpenAiRequest parse_completion(const Json& json, const Api& api) {
  const JsonFields fields(json);
  OpenAiRequest request;
  parse_common(fields, api, request);
  request.text.request.max_new_tokens = whole_or(fields, "max_tokens", kDefaultTokens, 0, kMostTokens);
  if (const Json* logprobs = fields.find("logprobs"); logprobs != nullptr && !is_false(*logprobs)) {
    set_logprobs(whole_or(fields, "logprobs", 0, 0, kMaxLogprobs), request);
  }
  request.echo = fields.flag("echo");
  if (request.echo && request.lists_logprobs) request.text.request.scores.first = 1;
  const uint32_t best_of = whole_or(fields, "best_of", request.n, 1, api.options.max_samples);
  if (best_of < request.n) throw ApiError(400, "best_of: expected at least n", "best_of");
  if (best_of > request.n && request.stream) throw ApiError(400, "best_of cannot be streamed", "best_of");
  request.text.n_samples = best_of;
  if (best_of > request.n) {
    request.text.request.n_logprobs = std::max(request.text.request.n_logprobs, 1u);
  }
  const std::optional<std::string> suffix = fields.text("suffix");
  if (suffix && !suffix->empty()) {
    if (request.echo) throw ApiError(400, "echo is for a prompt without a suffix", "echo");
    parse_gap(fields, api, *suffix, request);
  } else {
    parse_prompts(fields, api, request);
  }
  for (const auto& prompt : request.text.prompts) check_fits(api.model, prompt, request.text.request, "prompt");
  check_size(api, request);
  return request;
}

OpenAiRequest parse_chat_completion(const Json& json, const Api& api) {
  const JsonFields fields(json);
  if (!api.options.chat) {
    throw ApiError(400, "the model was not taught to chat: it has no chat template (/v1/completions continues texts)",
                   "messages");
  }
  OpenAiRequest request;
  parse_common(fields, api, request);
  const uint32_t most = whole_or(fields, "max_tokens", api.model.config().n_ctx, 1, kMostTokens);
  request.text.request.max_new_tokens = whole_or(fields, "max_completion_tokens", most, 1, kMostTokens);
  const std::optional<uint64_t> top = fields.whole("top_logprobs", 0, kMaxLogprobs);
  if (fields.flag("logprobs")) {
    set_logprobs(static_cast<uint32_t>(top.value_or(0)), request);
  } else if (top.value_or(0) > 0) {
    throw ApiError(400, "top_logprobs needs logprobs: true", "top_logprobs");
  }
  const Json* messages = fields.find("messages");
  if (messages == nullptr || messages->array.empty()) throw ApiError(400, "expected messages", "messages");
  std::vector<TokenId>& prompt = request.text.prompts.emplace_back();
  try {
    append_chat_tokens(api.model, render_chat(*api.options.chat, messages_from_json(*messages), Reply::begins), prompt);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
  const std::string_view end = end_of_message(api.options.chat->form);
  if (!end.empty()) request.text.stops.emplace_back(end);
  begin_text(api.model, prompt, "messages");
  check_fits(api.model, prompt, request.text.request, "messages");
  check_size(api, request);
  return request;
}

}  // namespace gpt2
