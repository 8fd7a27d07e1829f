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

bool is_none(const Json* value) { return value == nullptr || value->kind == Json::Kind::null; }

[[noreturn]] void refuse_step(std::string_view file, std::string_view item, std::string_view expected,
                              const Json& step) {
  const Json* type = step.find("type");
  fail_model(file, item, expected, type == nullptr ? step.describe() : type->describe());
}

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

// Into nfc.
void read_normalizer(const Json& tokenizer, std::string_view file, TokenizerRules& rules) {
  const Json* normalizer = tokenizer.find("normalizer");
  if (is_none(normalizer)) return;
  for (const Json* step : steps_of(*normalizer, "normalizers")) {
    if (!is_type(*step, "NFC")) refuse_step(file, "normalizer", "none or NFC", *step);
    rules.nfc = true;
  }
}

// Into split and prefix_space.
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
  rules.prefix_space = read_flag(last, "add_prefix_space", false, file) ? PrefixSpace::unspaced : PrefixSpace::none;
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

void read_byte_decoder(const Json& tokenizer, std::string_view file) {
  const Json* decoder = tokenizer.find("decoder");
  if (is_none(decoder) || is_type(*decoder, "ByteLevel")) return;
  refuse_step(file, "decoder", "ByteLevel", *decoder);
}

// The steps of SentencePiece's BPE.
class CharacterSteps {
 public:
  CharacterSteps(const Json& tokenizer, std::string_view file, TokenizerRules& rules)
      : tokenizer_(tokenizer), file_(file), rules_(rules) {}

  // Whether the file asks for them.
  bool wanted() const {
    const Json* normalizer = tokenizer_.find("normalizer");
    if (const Json* pre = tokenizer_.find(kItem); !is_none(pre) && is_type(*pre, "Metaspace")) return true;
    if (is_none(normalizer)) return false;
    for (const Json* step : steps_of(*normalizer, "normalizers")) {
      if (is_type(*step, "Prepend") || is_type(*step, "Replace")) return true;
    }
    return false;
  }

  void read() {
    rules_.symbols = Symbols::characters;
    read_normalizer();
    read_pre_tokenizer();
    if (!spaces_) fail_model(file_, "normalizer", "one that replaces spaces by U+2581", "none");
    read_decoder();
  }

 private:
  static constexpr std::string_view kSpace = "\u2581";

  static bool has_text(const Json& step, std::string_view key, std::string_view text) {
    const Json* value = step.find(key);
    return value != nullptr && value->kind == Json::Kind::string && value->string == text;
  }

  // {"pattern": {"String": from}, "content": to}
  static bool replaces(const Json& step, std::string_view from, std::string_view to) {
    const Json* pattern = step.find("pattern");
    return is_type(step, "Replace") && pattern != nullptr && has_text(*pattern, "String", from) &&
           has_text(step, "content", to);
  }

  void read_normalizer() {
    const Json* normalizer = tokenizer_.find("normalizer");
    if (is_none(normalizer)) return;
    for (const Json* step : steps_of(*normalizer, "normalizers")) {
      const bool prepends = is_type(*step, "Prepend") && has_text(*step, "prepend", kSpace);
      if (prepends && !spaces_ && rules_.prefix_space == PrefixSpace::none) {
        rules_.prefix_space = PrefixSpace::stretch;
      } else if (!spaces_ && replaces(*step, " ", kSpace)) {
        spaces_ = true;
      } else {
        refuse_step(file_, "normalizer", "Prepend of U+2581, then Replace of spaces by it", *step);
      }
    }
  }

  void read_pre_tokenizer() {
    const Json* pre = tokenizer_.find(kItem);
    if (is_none(pre)) return;
    if (is_type(*pre, "Metaspace") && !spaces_ && rules_.prefix_space == PrefixSpace::none) return read_metaspace(*pre);
    // Gemma's, which cuts at spaces where no space is left.
    const Json* pattern = pre->find("pattern");
    if (spaces_ && is_type(*pre, "Split") && pattern != nullptr && has_text(*pattern, "String", " ")) return;
    refuse_step(file_, kItem, "none or Metaspace", *pre);
  }

  void read_metaspace(const Json& step) {
    spaces_ = true;
    if (!has_text(step, "replacement", kSpace)) fail_model(file_, "pre_tokenizer.replacement", "U+2581", "another");
    require_flag(step, "split", true, false, file_);
    const bool old_flag = read_flag(step, "add_prefix_space", true, file_);
    const Json* scheme = step.find("prepend_scheme");
    const std::string name = is_none(scheme) ? (old_flag ? "always" : "never") : scheme->string;
    if (name == "always") {
      rules_.prefix_space = PrefixSpace::unspaced;
    } else if (name == "first") {
      rules_.prefix_space = PrefixSpace::first;
    } else if (name != "never") {
      fail_model(file_, "pre_tokenizer.prepend_scheme", "always, first or never", scheme->describe());
    }
  }

  void read_decoder() const {
    const Json* decoder = tokenizer_.find("decoder");
    if (is_none(decoder)) fail_model(file_, "decoder", "Replace of U+2581 by a space", "none");
    bool strips = false;
    for (const Json* step : steps_of(*decoder, "decoders")) {
      const bool strip = is_type(*step, "Strip") && has_text(*step, "content", " ");
      strips = strips || strip || is_type(*step, "Metaspace");
      if (strip || replaces(*step, kSpace, " ") || is_type(*step, "ByteFallback") || is_type(*step, "Fuse") ||
          is_type(*step, "Metaspace"))
        continue;
      refuse_step(file_, "decoder", "Replace of U+2581 by a space, ByteFallback, Fuse, Strip of a space", *step);
    }
    if (strips == (rules_.prefix_space != PrefixSpace::none)) return;
    fail_model(file_, "decoder", strips ? "no Strip where no space is put before a text" : "Strip of that space",
               strips ? "Strip" : "none");
  }

  const Json& tokenizer_;
  std::string_view file_;
  TokenizerRules& rules_;
  bool spaces_ = false;  // they become U+2581
};

}  // namespace

std::string_view split_pattern(SplitRule rule) {
  for (const KnownPattern& known : kPatterns) {
    if (known.rule == rule) return known.pattern;
  }
  return {};
}

void read_steps(const Json& tokenizer, std::string_view file, TokenizerRules& rules) {
  if (CharacterSteps steps(tokenizer, file, rules); steps.wanted()) return steps.read();
  read_normalizer(tokenizer, file, rules);
  read_pre_tokenizer(tokenizer, file, rules);
  read_byte_decoder(tokenizer, file);
}

}  // namespace gpt2
