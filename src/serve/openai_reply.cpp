#include "src/serve/openai_reply.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/engine/infill.h"
#include "src/io/json_object.h"

namespace gpt2 {
namespace {

std::string list_of(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + value;
  return "[" + list + "]";
}

std::string_view finish_of(const Sample& sample) {
  return sample.finish_reason == "length" || sample.finish_reason == "context" ? "length" : "stop";
}

std::string usage(const TextRun& run) {
  JsonObject details, object;
  details.whole("cached_tokens", run.n_cached_tokens());
  return object.whole("prompt_tokens", run.n_prompt_tokens())
      .whole("completion_tokens", run.n_completion_tokens())
      .whole("total_tokens", run.n_prompt_tokens() + run.n_completion_tokens())
      .raw("prompt_tokens_details", details.text())
      .text();
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Of the generated tokens; those of the prompt stand before them.
double mean_logprob(const Sample& sample) {
  const size_t n = std::min(sample.tokens.size(), sample.logprobs.size());
  double sum = 0;
  for (size_t i = sample.logprobs.size() - n; i < sample.logprobs.size(); ++i) sum += sample.logprobs[i].logprob;
  return n > 0 ? sum / static_cast<double>(n) : -HUGE_VAL;
}

std::string token_object(const Tokenizer& tokenizer, const TokenLogprob& one, const std::string* top) {
  const std::string_view bytes = tokenizer.token_bytes(one.token);
  std::vector<std::string> values;
  for (const char byte : bytes) values.push_back(std::to_string(static_cast<unsigned char>(byte)));
  JsonObject object;
  object.string("token", token_spelling(bytes)).raw("logprob", json_number(one.logprob)).raw("bytes", list_of(values));
  if (top != nullptr) object.raw("top_logprobs", *top);
  return object.text();
}

// {" the": -1.5, ..} with the token itself. Of tokens that are spelled alike the most likely counts.
std::string top_object(const Tokenizer& tokenizer, std::span<const TokenLogprob> top, const TokenLogprob& chosen) {
  JsonObject object;
  std::vector<std::string> names;
  const auto add = [&](const TokenLogprob& one) {
    std::string name = token_spelling(tokenizer.token_bytes(one.token));
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    object.raw(name, json_number(one.logprob));
    names.push_back(std::move(name));
  };
  for (const TokenLogprob& one : top) add(one);
  add(chosen);
  return object.text();
}

}  // namespace

std::string token_spelling(std::string_view bytes) {
  size_t valid = 0;
  while (const size_t length = utf8_sequence_length(bytes.substr(valid))) valid += length;
  if (valid == bytes.size()) return std::string(bytes);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

OpenAiReply::OpenAiReply(const Api& api, OpenAiForm form, const OpenAiRequest& request)
    : api_(api),
      form_(form),
      request_(request),
      id_((form == OpenAiForm::chat ? "chatcmpl-" : "cmpl-") + hex64(fresh_seed())),
      created_(static_cast<uint64_t>(std::time(nullptr))),
      chunk_head_(head(form == OpenAiForm::chat ? "chat.completion.chunk" : "text_completion")),
      streamed_(request.text.prompts.size() * request.text.n_samples) {}

std::string OpenAiReply::head(std::string_view object) const {
  const std::string text = JsonObject()
                               .string("id", id_)
                               .string("object", object)
                               .whole("created", created_)
                               .string("model", api_.options.alias)
                               .string("system_fingerprint", api_.fingerprint)
                               .text();
  return text.substr(0, text.size() - 1);  // more follows
}

std::string OpenAiReply::chunk_of(const std::string& members) const {
  std::string text;
  text.reserve(chunk_head_.size() + members.size());
  return text.append(chunk_head_).append(",").append(members, 1);
}

// The best of each prompt's samples by their mean log-probability, in that order.
std::vector<size_t> OpenAiReply::best_choices(std::vector<Choice>& choices) const {
  std::vector<size_t> best;
  const size_t n_samples = request_.text.n_samples;
  for (size_t first = 0; first < choices.size(); first += n_samples) {
    std::vector<size_t> order(n_samples);
    std::iota(order.begin(), order.end(), first);
    if (n_samples > request_.n) {
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return mean_logprob(choices[a].builder.sample()) > mean_logprob(choices[b].builder.sample());
      });
    }
    best.insert(best.end(), order.begin(), order.begin() + request_.n);
  }
  return best;
}

std::string OpenAiReply::whole(TextRun& run) const {
  std::vector<std::string> choices;
  for (const size_t i : best_choices(run.choices())) {
    Choice& choice = run.choices()[i];
    const Sample& sample = choice.builder.sample();
    const size_t prompt = i / request_.text.n_samples;
    std::string text = request_.echo ? request_.echoed[prompt] : "";
    text += choice.next_text();
    JsonObject object;
    object.whole("index", choices.size());
    if (form_ == OpenAiForm::chat) {
      object.raw("message", JsonObject().string("role", "assistant").string("content", text).text());
    } else {
      object.string("text", text);
    }
    Told told;
    object.raw("logprobs", choice_logprobs(sample, prompt, told))
        .string("finish_reason", finish_of(sample));
    choices.push_back(object.text());
  }
  JsonObject tail;
  tail.raw("choices", list_of(choices)).raw("usage", usage(run)).whole("seed", request_.text.request.seed);
  return head(form_ == OpenAiForm::chat ? "chat.completion" : "text_completion") + "," + tail.text().substr(1);
}

std::string OpenAiReply::chunk(TextRun& run, uint32_t index) {
  Choice& choice = run.choices()[index];
  const Sample& sample = choice.builder.sample();
  Told& told = streamed_[index];
  const size_t prompt = index / request_.text.n_samples;
  const bool begins = !std::exchange(told.has_begun, true);
  const bool lists_more = request_.lists_logprobs && sample.logprobs.size() > told.n_listed;
  std::string text = begins && request_.echo ? request_.echoed[prompt] : "";
  text += choice.next_text();
  if (text.empty() && !begins && !choice.ended && !lists_more) return "";
  JsonObject object, delta;
  object.whole("index", index);
  if (form_ == OpenAiForm::chat) {
    if (begins) delta.string("role", "assistant");
    object.raw("delta", delta.string("content", text).text());
  } else {
    object.string("text", text);
  }
  object.raw("logprobs", choice_logprobs(sample, prompt, told))
      .raw("finish_reason", choice.ended ? json_quote(finish_of(sample)) : "null");
  JsonObject tail;
  tail.raw("choices", "[" + object.text() + "]");
  if (request_.include_usage) tail.raw("usage", "null");
  return chunk_of(tail.text());
}

std::string OpenAiReply::usage_chunk(const TextRun& run) const {
  JsonObject tail;
  tail.raw("choices", "[]").raw("usage", usage(run));
  return chunk_of(tail.text());
}

// Of the tokens that were not told yet.
std::string OpenAiReply::choice_logprobs(const Sample& sample, size_t prompt, Told& told) const {
  if (!request_.lists_logprobs) return "null";
  return form_ == OpenAiForm::chat ? chat_logprobs(sample, told) : completion_logprobs(sample, prompt, told);
}

std::string OpenAiReply::chat_logprobs(const Sample& sample, Told& told) const {
  const Tokenizer& tokenizer = api_.model.tokenizer();
  std::vector<std::string> content;
  for (; told.n_listed < sample.logprobs.size(); ++told.n_listed) {
    std::vector<std::string> top;
    for (const TokenLogprob& one : sample.top[told.n_listed]) top.push_back(token_object(tokenizer, one, nullptr));
    const std::string tops = list_of(top);
    content.push_back(token_object(tokenizer, sample.logprobs[told.n_listed], &tops));
  }
  return JsonObject().raw("content", list_of(content)).text();
}

// Offsets count characters of the choice's text, which begins with the prompt where that is echoed; what a tokenizer
// puts before every text and the end-of-text token are no part of it.
std::string OpenAiReply::completion_logprobs(const Sample& sample, size_t prompt, Told& told) const {
  const Tokenizer& tokenizer = api_.model.tokenizer();
  const std::vector<TokenId>& ids = request_.text.prompts[prompt];
  if (!told.texts) told.texts.emplace(request_.echo ? TokenText(tokenizer) : text_behind(api_.model, ids));
  const auto& before = tokenizer.rules().before_text;
  const bool has_before =
      request_.echo && ids.size() >= before.size() && std::equal(before.begin(), before.end(), ids.begin());
  std::vector<std::string> tokens, values, tops, offsets;
  for (size_t& i = told.n_listed; i < sample.logprobs.size(); ++i) {
    const TokenLogprob& chosen = sample.logprobs[i];
    tokens.push_back(json_quote(token_spelling(tokenizer.token_bytes(chosen.token))));
    values.push_back(json_number(chosen.logprob));
    tops.push_back(std::isnan(chosen.logprob) ? "null" : top_object(tokenizer, sample.top[i], chosen));
    offsets.push_back(std::to_string(told.offset));
    const std::string_view text = told.texts->next(chosen.token);
    const bool is_end = i + 1 == sample.logprobs.size() && sample.finish_reason == "eos";
    if (!is_end && !(has_before && i < before.size())) told.offset += count_characters(text);
  }
  return JsonObject()
      .raw("tokens", list_of(tokens))
      .raw("token_logprobs", list_of(values))
      .raw("top_logprobs", list_of(tops))
      .raw("text_offset", list_of(offsets))
      .text();
}

}  // namespace gpt2
