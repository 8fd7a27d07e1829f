#include "src/io/json_text.h"

namespace gpt2 {

std::string json_text(const Json& json) {
  std::string text;
  switch (json.kind) {
    case Json::Kind::null: return "null";
    case Json::Kind::boolean: return json.boolean ? "true" : "false";
    case Json::Kind::integer: return std::to_string(json.integer);
    case Json::Kind::unsigned_integer: return std::to_string(json.unsigned_integer);
    case Json::Kind::real:
      text = json_number(json.real);
      return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
    case Json::Kind::string: return json_quote(json.string);
    case Json::Kind::array:
      for (const Json& item : json.array) text += (text.empty() ? "" : ", ") + json_text(item);
      return "[" + text + "]";
    case Json::Kind::object:
      for (const Json::Member& member : json.object) {
        text += (text.empty() ? "" : ", ") + json_quote(member.first) + ": " + json_text(member.second);
      }
      return "{" + text + "}";
  }
  return text;
}

}  // namespace gpt2
