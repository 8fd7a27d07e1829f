#include "src/convert/chat_template_file.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "src/base/error.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxFileBytes = 64u << 20;
// Published ones have a few kilobytes. It stands in the header, which is read whole at every start.
constexpr size_t kMaxTemplateBytes = 256u << 10;

std::string left_out(const std::string& file, const std::string& expected, const std::string& found) {
  return printable(file, 400) + ": chat_template left out: expected " + expected + ", found " + found;
}

// The template itself, or the one named "default" of [{"name": .., "template": ..}, ..]; nullptr if there is none.
const Json* default_of(const Json& value) {
  if (value.kind != Json::Kind::array) return &value;
  for (const Json& entry : value.array) {
    const Json* name = entry.find("name");
    if (name != nullptr && name->string == "default") return entry.find("template");
  }
  return nullptr;
}

}  // namespace

std::string read_chat_template(const std::string& directory, std::vector<std::string>& warnings) {
  std::string file = directory + "/chat_template.jinja", text;
  if (file_exists(file)) {
    text = read_text_file(file, kMaxFileBytes);
  } else {
    file = directory + "/tokenizer_config.json";
    if (!file_exists(file)) return "";
    const Json config = parse_json(read_text_file(file, kMaxFileBytes), file);
    const Json* value = config.find("chat_template");
    if (value == nullptr || value->kind == Json::Kind::null) return "";
    const Json* chosen = default_of(*value);
    if (chosen == nullptr || chosen->kind != Json::Kind::string) {
      warnings.push_back(left_out(file, "a text, or a list with one named \"default\"",
                                  chosen == nullptr ? value->describe() : chosen->describe()));
      return "";
    }
    text = chosen->string;
  }
  return stored_chat_template(std::move(text), file, warnings);
}

std::string stored_chat_template(std::string text, const std::string& file, std::vector<std::string>& warnings) {
  if (text.size() <= kMaxTemplateBytes) return text;
  warnings.push_back(left_out(file, "at most " + std::to_string(kMaxTemplateBytes) + " bytes",
                              std::to_string(text.size())));
  return "";
}

}  // namespace gpt2
