#include "tools/record_text.h"

#include <optional>

namespace gpt2 {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

// Where the value stands that is one too many, without reading the others: each but the first follows a mark of JSON's
// structure.
std::optional<size_t> value_past(std::string_view text, size_t most) {
  size_t n_values = 1;
  bool inside = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (inside && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      inside = !inside;
    } else if (!inside && (text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{') && ++n_values > most) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string place_text(std::string_view source, RecordFormat format, RecordPlace place, size_t offset) {
  const std::string name = printable(source, 400);
  if (format == RecordFormat::null) return name + ": record " + std::to_string(place.index) + ": ";
  const std::string column = format == RecordFormat::jsonl ? ":" + std::to_string(offset + 1) : "";
  return name + ":" + std::to_string(place.line) + column + ": ";
}

size_t record_begin(std::string_view text) { return text.find_first_not_of(kSpaces); }

Json record_object(std::string_view text) {
  if (const auto offset = value_past(text, kMaxRecordValues)) {
    throw RecordFault{ExitCode::input,
                      "expected at most " + std::to_string(kMaxRecordValues) + " values in a record, found more",
                      *offset};
  }
  Json json;
  if (const auto fault = read_json(text, json)) {
    throw RecordFault{ExitCode::input, "expected " + fault->expected + ", found " + printable(fault->found, 200),
                      fault->offset};
  }
  if (json.kind != Json::Kind::object)
    throw RecordFault{ExitCode::input, "expected an object, found " + json.describe(), record_begin(text)};
  return json;
}

std::vector<int32_t> token_array(const Json::Member& member, uint32_t n_vocab) {
  std::vector<int32_t> tokens;
  tokens.reserve(member.second.array.size());
  for (const Json& id : member.second.array) {
    if (id.kind != Json::Kind::integer || id.integer < 0 || id.integer >= n_vocab) {
      throw RecordFault{ExitCode::input,
                        quoted_text(member.first) + ": expected token ids from 0 to " + std::to_string(n_vocab - 1) +
                            ", found " + id.describe(),
                        member.offset};
    }
    tokens.push_back(static_cast<int32_t>(id.integer));
  }
  return tokens;
}

std::string id_text(const Json& json) {
  switch (json.kind) {
    case Json::Kind::string: return json_quote(json.string);
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::unsigned_integer: return std::to_string(json.unsigned_integer);
    default: return "";
  }
}

bool is_present(const Json* json) { return json != nullptr && json->kind != Json::Kind::null; }

std::string quoted_text(std::string_view text) { return "\"" + printable(text) + "\""; }

}  // namespace gpt2
