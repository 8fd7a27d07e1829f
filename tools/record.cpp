#include "tools/record.h"

#include <algorithm>
#include <cmath>

#include "src/base/error.h"
#include "src/engine/chat.h"
#include "src/engine/infill.h"
#include "src/engine/noise.h"
#include "tools/escapes.h"
#include "tools/plain_text.h"

namespace gpt2 {
namespace {

// "max_new_tokens", "max_tokens", .. of "-n,--max-new-tokens" and its aliases.
std::vector<std::string> keys_of(const Option& option) {
  std::vector<std::string> keys;
  for (const std::string_view list : {option.names, option.aliases}) {
    for (const std::string& name : split_names(list)) {
      if (!name.starts_with("--")) continue;
      keys.push_back(name.substr(2));
      std::replace(keys.back().begin(), keys.back().end(), '-', '_');
    }
  }
  return keys;
}

std::string expected_of(const Option& option) {
  switch (option.value.form) {
    case OptionValue::Form::flag: return "true or false";
    case OptionValue::Form::pairs: return "an object of token ids and numbers";
    default: return option.value.clear ? option.value.expected + ", or an array of such" : option.value.expected;
  }
}

// A whole number without its fraction: tables that lack a value somewhere write 5 as 5.0.
std::string real_text(double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (value != std::trunc(value) || std::abs(value) > kExact) return json_number(value);
  return std::to_string(static_cast<int64_t>(value));
}

// What the command line would say for a JSON value of this form; none if it is no such value.
std::optional<std::string> text_of(const Json& json, OptionValue::Form form) {
  if (form == OptionValue::Form::text) {
    return json.kind == Json::Kind::string ? std::optional(json.string) : std::nullopt;
  }
  switch (json.kind) {
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::unsigned_integer: return std::to_string(json.unsigned_integer);
    case Json::Kind::real: return real_text(json.real);
    default: return std::nullopt;
  }
}

// The string of the key that is not null.
std::string string_of(const Json& json, std::string_view key) {
  const auto found = std::find_if(json.object.begin(), json.object.end(), [&](const Json::Member& member) {
    return member.first == key && is_present(&member.second);
  });
  return found == json.object.end() ? "" : found->second.string;
}

}  // namespace

RecordParser::RecordParser(const Model& model, const RequestArguments& defaults, RecordFormat format, bool escaped,
                           std::string source)
    : model_(model),
      defaults_(defaults),
      options_(arguments_.options()),
      format_(format),
      escaped_(escaped),
      source_(std::move(source)) {
  for (const Option& option : options_) keys_.push_back(keys_of(option));
  defaults_.resolve(model.config());
}

Record RecordParser::too_long(RecordPlace place, uint64_t limit) const {
  return failed(place, "expected at most " + std::to_string(limit) + " bytes, found more");
}

Record RecordParser::foreign(RecordPlace place, const char* encoding) const {
  return failed(place, encoding_fault(encoding));
}

Record RecordParser::failed(RecordPlace place, const std::string& message) const {
  Record record;
  record.index = place.index;
  record.id = std::to_string(place.index);
  record.arguments.n_samples = defaults_.n_samples;
  record.failure = {ExitCode::input, place_text(source_, format_, place, 0) + message};
  return record;
}

Record RecordParser::parse(std::string_view text, RecordPlace place) {
  Record record;
  record.index = place.index;
  record.id = std::to_string(place.index);
  arguments_ = defaults_;
  arguments_.seed.reset();
  try {
    if (format_ == RecordFormat::jsonl) {
      // Files that were joined have their marks between records; a space keeps the places of what is behind.
      const size_t mark = utf8_mark(text);
      if (mark == 0) {
        parse_object(text, record);
      } else {
        parse_object(std::string(mark, ' ').append(text.substr(mark)), record);
      }
    } else {
      if (format_ == RecordFormat::lines && text.ends_with('\r')) text.remove_suffix(1);
      record.prompt = model_.tokenizer().encode(escaped_ ? unescape(text, "--escape") : text,
                                                arguments_.special ? Specials::parse : Specials::as_text);
      finish(record);
    }
  } catch (const RecordFault& fault) {
    record.failure = {fault.code, place_text(source_, format_, place, fault.offset) + fault.message};
  } catch (const Error& error) {
    record.failure = {ExitCode::input, place_text(source_, format_, place, 0) + error.what()};
  }
  record.arguments = arguments_;
  return record;
}

void RecordParser::parse_object(std::string_view text, Record& record) {
  const Json json = record_object(text);
  const size_t begin = record_begin(text);
  // First of all, so that a failure bears it.
  if (const Json* id = json.find("id")) {
    const std::string own = id_text(*id);
    if (!own.empty()) record.id = own;
  }
  written_.assign(options_.size(), nullptr);
  for (const Json::Member& member : json.object) set_key(member, record);
  const Json::Member& prompt = find_prompt(json, begin);
  try {
    set_prompt(json, prompt, record);
    finish(record);
  } catch (const Error& error) {
    throw RecordFault{ExitCode::input, error.what(), prompt.offset};
  }
}

std::vector<std::string> RecordParser::prompt_keys() const {
  if (chat_) return {"messages"};
  return {"prompt", "tokens", "prefix", "suffix"};
}

// The one that the record has; the first of prefix and suffix, which are there together.
const Json::Member& RecordParser::find_prompt(const Json& json, size_t begin) const {
  const std::vector<std::string> keys = prompt_keys();
  std::vector<const Json::Member*> found;
  for (const Json::Member& member : json.object) {
    if (std::find(keys.begin(), keys.end(), member.first) != keys.end() && is_present(&member.second))
      found.push_back(&member);
  }
  if (found.empty()) {
    const char* expected = chat_ ? "expected \"messages\", found none"
                                 : "expected a \"prompt\" or \"tokens\" (or a \"prefix\" and a \"suffix\"), found none";
    throw RecordFault{ExitCode::input, expected, begin};
  }
  const auto is_gap = [](const Json::Member* member) { return member->first == "prefix" || member->first == "suffix"; };
  const bool gap = found.size() == 2 && is_gap(found[0]) && is_gap(found[1]) && found[0]->first != found[1]->first;
  if (gap || (found.size() == 1 && !is_gap(found[0]))) return *found[0];
  const std::string expected = chat_ ? "expected \"messages\" once"
                                     : "expected a \"prompt\" or \"tokens\" or both \"prefix\" and \"suffix\"";
  std::string names;
  for (const Json::Member* member : found) names += (names.empty() ? "" : " and ") + quoted_text(member->first);
  throw RecordFault{ExitCode::input, expected + ", found " + names, found[0]->offset};
}

// Tokens are there already.
void RecordParser::set_prompt(const Json& json, const Json::Member& member, Record& record) {
  const Specials specials = arguments_.special ? Specials::parse : Specials::as_text;
  if (member.first == "prompt") record.prompt = model_.tokenizer().encode(member.second.string, specials);
  if (member.first == "prefix" || member.first == "suffix") {
    if (const char* reason = arguments_.gap_fault()) fail(ExitCode::input, reason);
    record.prompt = infill_prompt(model_, {string_of(json, "prefix"), string_of(json, "suffix")}, specials);
    for (std::string& end : infill_ends(model_)) arguments_.stops.push_back(std::move(end));
  }
  if (member.first != "messages") return;
  append_chat_tokens(model_, render_chat(*chat_, messages_from_json(member.second), Reply::begins), record.prompt);
  const std::string_view end = end_of_message(chat_->form);
  if (!end.empty()) arguments_.stops.emplace_back(end);
}

// The option that a key stands for, by one of its names.
const Option& RecordParser::option_of(const Json::Member& member) {
  const std::string& key = member.first;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (std::find(keys_[i].begin(), keys_[i].end(), key) == keys_[i].end()) continue;
    if (is_present(&member.second)) {
      if (written_[i] != nullptr) {
        throw RecordFault{ExitCode::input,
                    quoted_text(key) + ": expected each option once, found " + quoted_text(*written_[i]) + " before it",
                    member.offset};
      }
      written_[i] = &key;
    }
    return options_[i];
  }
  std::vector<std::string> all = prompt_keys();
  for (const auto& keys : keys_) all.insert(all.end(), keys.begin(), keys.end());
  const std::string near = nearest_name(key, all);
  const std::string_view substitute =
      key == "n"          ? "\"max_new_tokens\" is the length, \"samples\" the number of texts"
      : key == "messages" ? "--chat reads messages"
                          : substitute_for(key);
  throw RecordFault{ExitCode::input,
              "unknown key " + quoted_text(key) +
                  (!substitute.empty() ? ": " + std::string(substitute)
                   : near.empty()      ? ""
                                       : "; did you mean \"" + near + "\"?"),
              member.offset};
}

// A null is as good as no key. What is wrong with a value is said of the key as it is written.
void RecordParser::set_key(const Json::Member& member, Record& record) {
  const std::string& key = member.first;
  const Json& value = member.second;
  const auto wrong = [&](std::string_view expected) {
    return RecordFault{ExitCode::input,
                       quoted_text(key) + ": expected " + std::string(expected) + ", found " + value.describe(),
                 member.offset};
  };
  if (key == "id") {
    if (is_present(&value) && id_text(value).empty()) throw wrong("a string or a whole number");
  } else if (chat_ && key == "messages") {
    return;
  } else if (!chat_ && (key == "prompt" || key == "prefix" || key == "suffix")) {
    if (is_present(&value) && value.kind != Json::Kind::string) throw wrong("a string");
  } else if (!chat_ && key == "tokens") {
    if (is_present(&value) && value.kind != Json::Kind::array) throw wrong("an array of token ids");
    record.prompt = token_array(member, model_.config().n_vocab);
  } else {
    const Option& option = option_of(member);
    if (!is_present(&value)) return;
    set_option(option, member);
    try {
      arguments_.resolve(model_.config());
    } catch (const Error& error) {
      const std::string_view message = error.what();  // "--top-k: expected .."
      throw RecordFault{ExitCode::input,
                  quoted_text(key) + std::string(message.substr(std::min(message.find(':'), message.size()))),
                  member.offset};
    }
  }
}

// The value goes the way of the command line's, as text, once its JSON type is the option's.
void RecordParser::set_option(const Option& option, const Json::Member& member) {
  const OptionValue& value = option.value;
  const Json& json = member.second;
  const auto wrong = [&](const Json& found) {
    return RecordFault{ExitCode::input,
                 quoted_text(member.first) + ": expected " + expected_of(option) + ", found " + found.describe(),
                 member.offset};
  };
  if (value.form == OptionValue::Form::flag) {
    if (json.kind != Json::Kind::boolean) throw wrong(json);
    value.clear();
    if (json.boolean) value.set("");
    return;
  }
  if (value.clear) value.clear();
  if (value.form == OptionValue::Form::pairs) {
    if (json.kind != Json::Kind::object) throw wrong(json);
    for (const auto& [name, number, offset] : json.object) {
      if (!is_present(&number)) continue;
      const auto text = text_of(number, OptionValue::Form::number);
      if (!text || !value.set(name + ":" + *text)) {
        throw RecordFault{ExitCode::input,
                    quoted_text(member.first) + ": expected " + value.expected + ", found " + quoted_text(name) +
                        " and " +
                        number.describe(),
                    offset};
      }
    }
    return;
  }
  const bool several = value.clear && json.kind == Json::Kind::array;
  for (const Json& one : several ? std::span<const Json>(json.array) : std::span(&json, 1)) {
    const auto text = text_of(one, value.form);
    if (!text || !value.set(*text)) throw wrong(one);
  }
}

// The prompt's tokens are there: makes the request.
void RecordParser::finish(Record& record) const {
  begin_text(model_.config(), record.prompt);
  record.n_dropped = arguments_.fit(record.prompt, model_.config().n_ctx);
  if (record.n_dropped > 0) record.prompt.shrink_to_fit();  // it waits for its turn among many
  record.n_prompt = record.prompt.size();
  record.request = arguments_.resolve(model_.config());
  record.request.seed =
      arguments_.seed ? *arguments_.seed : drawn_seed(record_seed(defaults_.seed.value_or(0), record.index));
}

}  // namespace gpt2
