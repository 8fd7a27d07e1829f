#include "src/io/json.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <unordered_set>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxMessage = 120;

// Copies simdjson's tree, refusing what a map would hide.
class Copier {
 public:
  Copier(std::string_view file, std::string_view item) : file_(file), item_(item) {}

  Json copy(simdjson::dom::element element) const {
    Json json;
    switch (element.type()) {
      case simdjson::dom::element_type::NULL_VALUE: break;
      case simdjson::dom::element_type::BOOL:
        json.kind = Json::Kind::boolean;
        json.boolean = bool(element);
        break;
      case simdjson::dom::element_type::INT64:
        json.kind = Json::Kind::integer;
        json.integer = int64_t(element);
        break;
      case simdjson::dom::element_type::UINT64:
        json.kind = Json::Kind::unsigned_integer;
        json.unsigned_integer = uint64_t(element);
        break;
      case simdjson::dom::element_type::DOUBLE:
        json.kind = Json::Kind::real;
        json.real = double(element);
        break;
      case simdjson::dom::element_type::STRING:
        json.kind = Json::Kind::string;
        json.string = std::string_view(element);
        break;
      case simdjson::dom::element_type::ARRAY:
        json.kind = Json::Kind::array;
        for (const simdjson::dom::element child : simdjson::dom::array(element)) json.array.push_back(copy(child));
        break;
      case simdjson::dom::element_type::OBJECT: copy_object(element, json); break;
    }
    return json;
  }

 private:
  void copy_object(simdjson::dom::object object, Json& json) const {
    json.kind = Json::Kind::object;
    json.object.reserve(object.size());
    std::unordered_set<std::string_view> keys;
    keys.reserve(object.size());
    for (const simdjson::dom::key_value_pair member : object) {
      if (!keys.insert(member.key).second) {
        fail_model(file_, item_, "each key once", "\"" + std::string(member.key) + "\" twice in one object");
      }
      json.object.push_back({std::string(member.key), copy(member.value)});
    }
  }

  std::string_view file_, item_;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (const Member& member : object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

std::string Json::describe() const {
  switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean ? "true" : "false";
    case Kind::integer: return "the number " + std::to_string(integer);
    case Kind::unsigned_integer: return "the number " + std::to_string(unsigned_integer);
    case Kind::real: return "the number " + json_number(real);
    case Kind::string: return "the string \"" + printable(string, kMaxMessage) + "\"";
    case Kind::array: return "an array of " + std::to_string(array.size());
    case Kind::object: return "an object";
  }
  return "?";
}

Json parse_json(std::string_view text, std::string_view file, std::string_view item) {
  // simdjson's parser keeps one stack entry a level; a document that is too deep is refused, not followed.
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  auto error = parser.allocate(text.size() > 0 ? text.size() : 1, kMaxDepth);
  simdjson::dom::element root;
  if (!error) error = parser.parse(padded).get(root);
  if (error) fail_model(file, item, "valid JSON", simdjson::error_message(error));
  return Copier(file, item).copy(root);
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_sequence_length(text.substr(i));
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7F) {
      constexpr char digits[] = "0123456789abcdef";
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(i, length);
    }
    i += length > 0 ? length : 1;
  }
  return out + "\"";
}

std::string json_number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace gpt2
