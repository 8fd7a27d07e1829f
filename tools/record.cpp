#include "tools/record.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/engine/noise.h"
#include "tools/escapes.h"

namespace gpt2 {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

// "max_new_tokens" of "-n,--max-new-tokens".
std::string key_of(const Option& option) {
  std::string key = split_names(option.names).back().substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::string quoted(std::string_view text) { return "\"" + printable(text) + "\""; }

std::string expected_of(const Option& option) {
  switch (option.value.form) {
    case OptionValue::Form::flag: return "true or false";
    case OptionValue::Form::pairs: return "an object of token ids and numbers";
    default: return option.value.clear ? option.value.expected + ", or an array of such" : option.value.expected;
  }
}

// What the command line would say for a JSON value of this form; none if it is no such value.
std::optional<std::string> text_of(const Json& json, OptionValue::Form form) {
  if (form == OptionValue::Form::text) {
    return json.kind == Json::Kind::string ? std::optional(json.string) : std::nullopt;
  }
  switch (json.kind) {
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::unsigned_integer: return std::to_string(json.unsigned_integer);
    case Json::Kind::real: return json_number(json.real);
    default: return std::nullopt;
  }
}

}  // namespace

// What is wrong, at a byte of the record.
struct RecordParser::Fault {
  ExitCode code = ExitCode::input;
  std::string message;
  size_t offset = 0;
};

RecordParser::RecordParser(const Model& model, const RequestArguments& defaults, RecordFormat format, bool escaped, std::string source)
    : model_(model),
      defaults_(defaults),
      options_(arguments_.options()),
      format_(format),
      escaped_(escaped),
      source_(std::move(source)) {
  for (const Option& option : options_) keys_.push_back(key_of(option));
  defaults_.resolve(model.config());
}

bool RecordParser::skips(std::string_view line) const {
  return format_ == RecordFormat::jsonl && line.find_first_not_of(kSpaces) == std::string_view::npos;
}

std::string RecordParser::place_of(RecordPlace place, size_t offset) const {
  const std::string source = printable(source_, 400);
  if (format_ == RecordFormat::null) return source + ": record " + std::to_string(place.index) + ": ";
  const std::string column = format_ == RecordFormat::jsonl ? ":" + std::to_string(offset + 1) : "";
  return source + ":" + std::to_string(place.line) + column + ": ";
}

Record RecordParser::too_long(RecordPlace place, uint64_t limit) const {
  Record record;
  record.index = place.index;
  record.id = std::to_string(place.index);
  record.arguments.n_samples = defaults_.n_samples;
  record.failure = {ExitCode::input, place_of(place, 0) + "expected at most " + std::to_string(limit) + " bytes, found more"};
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
      parse_object(text, record);
    } else {
      record.prompt = model_.tokenizer().encode(escaped_ ? unescape(text, "--escape") : text,
                                                arguments_.special ? Specials::parse : Specials::as_text);
      finish(record);
    }
  } catch (const Fault& fault) {
    record.failure = {fault.code, place_of(place, fault.offset) + fault.message};
  } catch (const Error& error) {
    record.failure = {ExitCode::input, place_of(place, 0) + error.what()};
  }
  record.arguments = arguments_;
  return record;
}

void RecordParser::parse_object(std::string_view text, Record& record) {
  Json json;
  if (const auto fault = read_json(text, json)) {
    throw Fault{ExitCode::input, "expected " + fault->expected + ", found " + printable(fault->found, 200), fault->offset};
  }
  const size_t begin = text.find_first_not_of(kSpaces);
  if (json.kind != Json::Kind::object) throw Fault{ExitCode::input, "expected an object, found " + json.describe(), begin};
  // First of all, so that a failure bears it.
  if (const Json* id = json.find("id")) {
    const std::string own = id_text(*id);
    if (!own.empty()) record.id = own;
  }
  for (const Json::Member& member : json.object) set_key(member, record);
  const Json *prompt = json.find("prompt"), *tokens = json.find("tokens");
  if (prompt == nullptr && tokens == nullptr) throw Fault{ExitCode::input, "expected a \"prompt\" or \"tokens\", found neither", begin};
  const auto place = std::find_if(json.object.begin(), json.object.end(), [](const Json::Member& member) {
    return member.first == "prompt" || member.first == "tokens";
  });
  if (prompt != nullptr && tokens != nullptr) {
    throw Fault{ExitCode::input, "expected a \"prompt\" or \"tokens\", found both", place->offset};
  }
  try {
    if (prompt != nullptr) {
      record.prompt = model_.tokenizer().encode(prompt->string, arguments_.special ? Specials::parse : Specials::as_text);
    }
    finish(record);
  } catch (const Error& error) {
    throw Fault{ExitCode::input, error.what(), place->offset};
  }
}

void RecordParser::set_key(const Json::Member& member, Record& record) {
  const std::string& key = member.first;
  const Json& value = member.second;
  const auto wrong = [&](std::string_view expected) {
    return Fault{ExitCode::input, quoted(key) + ": expected " + std::string(expected) + ", found " + value.describe(), member.offset};
  };
  if (key == "id") {
    if (id_text(value).empty()) throw wrong("a string or a whole number");
  } else if (key == "prompt") {
    if (value.kind != Json::Kind::string) throw wrong("a string");
  } else if (key == "tokens") {
    if (value.kind != Json::Kind::array) throw wrong("an array of token ids");
    set_tokens(member, record);
  } else {
    const auto known = std::find(keys_.begin(), keys_.end(), key);
    if (known == keys_.end()) {
      std::vector<std::string> all = keys_;
      all.insert(all.end(), {"prompt", "tokens"});
      const std::string near = nearest_name(key, all);
      throw Fault{ExitCode::input, "unknown key " + quoted(key) + (near.empty() ? "" : "; did you mean \"" + near + "\"?"),
                  member.offset};
    }
    const Option& option = options_[static_cast<size_t>(known - keys_.begin())];
    set_option(option, member);
    try {
      arguments_.resolve(model_.config());
    } catch (const Error& error) {
      throw Fault{ExitCode::input, error.what(), member.offset};
    }
  }
}

void RecordParser::set_tokens(const Json::Member& member, Record& record) const {
  const uint32_t n_vocab = model_.config().n_vocab;
  record.prompt.reserve(member.second.array.size());
  for (const Json& id : member.second.array) {
    if (id.kind != Json::Kind::integer || id.integer < 0 || id.integer >= n_vocab) {
      throw Fault{ExitCode::input, "\"tokens\": expected token ids from 0 to " + std::to_string(n_vocab - 1) + ", found " + id.describe(),
                  member.offset};
    }
    record.prompt.push_back(static_cast<int32_t>(id.integer));
  }
}

// The value goes the way of the command line's, as text, once its JSON type is the option's.
void RecordParser::set_option(const Option& option, const Json::Member& member) {
  const OptionValue& value = option.value;
  const Json& json = member.second;
  const auto wrong = [&](const Json& found) {
    return Fault{ExitCode::input, quoted(member.first) + ": expected " + expected_of(option) + ", found " + found.describe(), member.offset};
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
      const auto text = text_of(number, OptionValue::Form::number);
      if (!text || !value.set(name + ":" + *text)) {
        throw Fault{ExitCode::input, quoted(member.first) + ": expected " + value.expected + ", found " + quoted(name) + " and " +
                                         number.describe(), offset};
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
  record.n_prompt = record.prompt.size();
  record.request = arguments_.resolve(model_.config());
  record.request.seed = arguments_.seed ? *arguments_.seed : record_seed(defaults_.seed.value_or(0), record.index);
}

std::string id_text(const Json& json) {
  switch (json.kind) {
    case Json::Kind::string: return json_quote(json.string);
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::unsigned_integer: return std::to_string(json.unsigned_integer);
    default: return "";
  }
}

}  // namespace gpt2
