#include "src/convert/tokenizer_steps.h"

#include <string>

#include "src/base/error.h"

namespace gpt2 {

bool is_type(const Json& step, std::string_view name) {
  const Json* type = step.find("type");
  return type != nullptr && type->string == name;
}

std::vector<const Json*> steps_of(const Json& json, std::string_view list) {
  std::vector<const Json*> steps;
  const Json* sequence = json.find(list);
  if (!is_type(json, "Sequence") || sequence == nullptr) return {&json};
  for (const Json& step : sequence->array) steps.push_back(&step);
  return steps;
}

namespace {

constexpr std::string_view kItem = "pre_tokenizer";
constexpr std::string_view kExpected =
    "ByteLevel, Digits and ByteLevel, or Split and ByteLevel with a known split rule";

struct KnownPattern {
  std::string_view pattern;
  SplitRule rule;
};
constexpr KnownPattern kPatterns[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::llama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::qwen2},
};

// A member that is true or false; `otherwise` where it is absent.
bool read_flag(const Json& step, std::string_view key, bool otherwise, std::string_view file) {
  const Json* value = step.find(key);
  if (value == nullptr || value->kind == Json::Kind::null) return otherwise;
  if (value->kind != Json::Kind::boolean)
    fail_model(file, std::string(kItem) + "." + std::string(key), "true or false", value->describe());
  return value->boolean;
}

[[noreturn]] void refuse(const Json& step, std::string_view file) {
  const Json* type = step.find("type");
  fail_model(file, kItem, kExpected, type == nullptr ? "no type" : type->describe());
}

void require_flag(const Json& step, std::string_view key, bool otherwise, bool expected, std::string_view file) {
  const bool found = read_flag(step, key, otherwise, file);
  if (found == expected) return;
  fail_model(file, std::string(kItem) + "." + std::string(key), expected ? "true" : "false", found ? "true" : "false");
}

SplitRule read_split(const Json& step, std::string_view file) {
  const Json* pattern = step.find("pattern");
  const Json* regex = pattern == nullptr ? nullptr : pattern->find("Regex");
  const Json* behavior = step.find("behavior");
  if (behavior == nullptr || behavior->string != "Isolated") {
    fail_model(file, "pre_tokenizer.behavior", "\"Isolated\"", behavior == nullptr ? "none" : behavior->describe());
  }
  require_flag(step, "invert", false, false, file);
  for (const KnownPattern& known : kPatterns) {
    if (regex != nullptr && regex->string == known.pattern) return known.rule;
  }
  fail_model(
      file, "pre_tokenizer.pattern", "the pattern of llama3 or qwen2 (others are not run)",
      regex == nullptr ? (pattern == nullptr ? "none" : pattern->describe()) : printable(regex->describe(), 400));
}

}  // namespace

void read_normalizer(const Json& tokenizer, std::string_view file, TokenizerRules& rules) {
  const Json* normalizer = tokenizer.find("normalizer");
  if (normalizer == nullptr || normalizer->kind == Json::Kind::null) return;
  for (const Json* step : steps_of(*normalizer, "normalizers")) {
    const Json* type = step->find("type");
    if (!is_type(*step, "NFC"))
      fail_model(file, "normalizer", "none or NFC", type == nullptr ? step->describe() : type->describe());
    rules.nfc = true;
  }
}

void read_pre_tokenizer(const Json& tokenizer, std::string_view file, TokenizerRules& rules) {
  const Json* pre = tokenizer.find(kItem);
  if (pre == nullptr || pre->kind != Json::Kind::object)
    fail_model(file, kItem, kExpected, pre == nullptr ? "none" : pre->describe());
  const std::vector<const Json*> steps = steps_of(*pre, "pretokenizers");
  if (steps.empty() || steps.size() > 2) {
    fail_model(file, kItem, kExpected, steps.empty() ? "no step" : std::to_string(steps.size()) + " steps");
  }
  const Json& last = *steps.back();
  if (!is_type(last, "ByteLevel")) refuse(last, file);
  rules.prefix_space = read_flag(last, "add_prefix_space", false, file);
  bool own_pattern = true;
  if (steps.size() == 2) {
    const Json& first = *steps[0];
    if (is_type(first, "Digits")) {
      require_flag(first, "individual_digits", false, true, file);
      rules.split = SplitRule::gpt2_digits;
    } else if (is_type(first, "Split")) {
      rules.split = read_split(first, file);
      own_pattern = false;
    } else {
      refuse(first, file);
    }
    // Each piece of the first step would get its space.
    require_flag(last, "add_prefix_space", false, false, file);
  }
  require_flag(last, "use_regex", true, own_pattern, file);
}

}  // namespace gpt2
