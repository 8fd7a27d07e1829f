#include "src/model/schema.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace gpt2 {

std::string_view arrangement_name(Arrangement arrangement) {
  switch (arrangement) {
    case Arrangement::vector: return "vector";
    case Arrangement::rows: return "rows";
    case Arrangement::panels: return "panels";
    case Arrangement::qkv: return "qkv";
    case Arrangement::qkv_scaled: return "qkv_scaled";
    case Arrangement::bytes: return "bytes";
  }
  return "?";
}

std::vector<TensorSpec> model_schema(const Config& c) {
  using enum Arrangement;
  std::vector<TensorSpec> schema;
  const auto add = [&](std::string name, std::string bias, Arrangement arrangement, uint64_t rows, uint64_t cols,
                       uint32_t layer = 0) {
    schema.push_back({std::move(name), std::move(bias), arrangement, rows, cols, layer});
  };
  add("wpe.weight", "", rows, c.n_ctx, c.n_embd);
  for (uint32_t i = 0; i < c.n_layer; ++i) {
    const std::string h = "h." + std::to_string(i) + ".";
    add(h + "ln_1.weight", "", vector, c.n_embd, 1, i);
    add(h + "ln_1.bias", "", vector, c.n_embd, 1, i);
    add(h + "attn.c_attn.weight", h + "attn.c_attn.bias", qkv, 3 * uint64_t{c.n_embd}, c.n_embd, i);
    add(h + "attn.c_proj.weight", h + "attn.c_proj.bias", panels, c.n_embd, c.n_embd, i);
    add(h + "ln_2.weight", "", vector, c.n_embd, 1, i);
    add(h + "ln_2.bias", "", vector, c.n_embd, 1, i);
    add(h + "mlp.c_fc.weight", h + "mlp.c_fc.bias", panels, c.n_inner, c.n_embd, i);
    add(h + "mlp.c_proj.weight", h + "mlp.c_proj.bias", panels, c.n_embd, c.n_inner, i);
  }
  add("ln_f.weight", "", vector, c.n_embd, 1);
  add("ln_f.bias", "", vector, c.n_embd, 1);
  add("wte.weight", "", panels, c.n_vocab, c.n_embd);
  if (c.n_draft_vocab > 0) {
    add(std::string(kDraftHead), "", panels, c.n_draft_vocab, c.n_embd);
    return schema;
  }
  if (!c.tied_lm_head) add("lm_head.weight", "", panels, c.n_vocab, c.n_embd);
  return schema;
}

uint64_t packed_rows(const TensorSpec& spec, const Config& config) {
  switch (spec.arrangement) {
    case Arrangement::qkv:
    case Arrangement::qkv_scaled: return uint64_t{config.n_head} * 3 * round_up(config.d_head, kPanelRows);
    case Arrangement::panels: return round_up(spec.rows, kPanelRows);
    default: return spec.rows;
  }
}

uint64_t stored_bytes(const TensorSpec& spec, DType dtype, const Config& config) {
  switch (spec.arrangement) {
    case Arrangement::vector: return round_up(spec.rows * sizeof(float), kLineBytes);
    case Arrangement::rows: return round_up(spec.rows * spec.cols * sizeof(float), kLineBytes);
    default: return packed_rows(spec, config) / kPanelRows * panel_bytes(dtype, spec.cols);
  }
}

std::string_view dtype_name(DType dtype) {
  constexpr std::string_view names[] = {"f32", "bf16", "int8", "int4"};
  return names[static_cast<size_t>(dtype)];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::int8, DType::int4}) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

namespace {

constexpr std::string_view kDraftVocabKey = "config.n_draft_vocab";  // drafts only

// The configuration's fields, once: visit(key, field) for each.
template <class C, class Visit>
void each_field(C& config, Visit visit) {
  visit("n_layer", config.n_layer);
  visit("n_head", config.n_head);
  visit("n_embd", config.n_embd);
  visit("n_inner", config.n_inner);
  visit("n_ctx", config.n_ctx);
  visit("n_vocab", config.n_vocab);
  visit("layer_norm_epsilon", config.layer_norm_epsilon);
  visit("activation", config.activation);
  visit("scale_attn_weights", config.scale_attn_weights);
  visit("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx);
  visit("tied_lm_head", config.tied_lm_head);
  visit("bos_token_id", config.bos_token_id);
  visit("eos_token_ids", config.eos_token_ids);
}

// The tokenizer's rules, once. A new rule is a line here and a field there.
template <class R, class Visit>
void each_rule(R& rules, Visit visit) {
  visit("prefix_space", rules.prefix_space);
  visit("before_text", rules.before_text);
}

std::string to_text(uint32_t value) { return std::to_string(value); }
std::string to_text(int32_t value) { return std::to_string(value); }
std::string to_text(bool value) { return value ? "true" : "false"; }
std::string to_text(Activation value) { return std::string(activation_name(value)); }
std::string to_text(float value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}
std::string to_text(const std::vector<int32_t>& values) {
  std::string text;
  for (const int32_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
  return text;
}

template <class Number>
bool from_text(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}
bool from_text(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}
bool from_text(std::string_view text, Activation& value) {
  for (const Activation a : {Activation::gelu_tanh, Activation::gelu_erf, Activation::relu}) {
    if (activation_name(a) != text) continue;
    value = a;
    return true;
  }
  return false;
}
bool from_text(std::string_view text, std::vector<int32_t>& values) {
  values.clear();
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (!from_text(text.substr(0, comma), values.emplace_back())) return false;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> config_metadata(const Config& config) {
  std::vector<std::pair<std::string, std::string>> metadata;
  each_field(config, [&](std::string_view key, const auto& field) {
    metadata.emplace_back("config." + std::string(key), to_text(field));
  });
  if (config.n_draft_vocab > 0) metadata.emplace_back(kDraftVocabKey, to_text(config.n_draft_vocab));
  return metadata;
}

Config config_from_metadata(const MetadataLookup& metadata, std::string_view file) {
  Config config;
  each_field(config, [&](std::string_view name, auto& field) {
    const std::string key = "config." + std::string(name);
    const std::string* text = metadata.value(key);
    if (text == nullptr) fail_model(file, key, "a value", "none");
    if (!from_text(*text, field)) fail_model(file, key, "a valid value", "\"" + *text + "\"");
  });
  if (const std::string* text = metadata.value(kDraftVocabKey)) {
    if (!from_text(*text, config.n_draft_vocab) || config.n_draft_vocab == 0) {
      fail_model(file, kDraftVocabKey, "a number from 1", "\"" + *text + "\"");
    }
  }
  if (config.n_head == 0) fail_model(file, "config.n_head", "at least 1", "0");
  config.d_head = config.n_embd / config.n_head;
  check_config(config, file);
  return config;
}

std::vector<std::pair<std::string, std::string>> rules_metadata(const TokenizerRules& rules) {
  std::vector<std::pair<std::string, std::string>> metadata, defaults;
  const auto into = [](auto& list) {
    return [&list](std::string_view name, const auto& field) {
      list.emplace_back(std::string(kTokenizerPrefix) + std::string(name), to_text(field));
    };
  };
  const TokenizerRules none;
  each_rule(rules, into(metadata));
  each_rule(none, into(defaults));
  std::erase_if(metadata, [&](const auto& item) { return std::find(defaults.begin(), defaults.end(), item) != defaults.end(); });
  return metadata;
}

TokenizerRules rules_from_metadata(const MetadataLookup& metadata, std::string_view file) {
  TokenizerRules rules;
  each_rule(rules, [&](std::string_view name, auto& field) {
    const std::string key = std::string(kTokenizerPrefix) + std::string(name);
    const std::string* text = metadata.value(key);
    if (text != nullptr && !from_text(*text, field)) {
      fail_model(file, key, "a value that this version knows", "\"" + *text + "\"");
    }
  });
  return rules;
}

bool is_rules_key(std::string_view key) {
  TokenizerRules rules;
  bool known = false;
  if (!key.starts_with(kTokenizerPrefix)) return false;
  each_rule(rules, [&](std::string_view name, auto&) { known = known || key.substr(kTokenizerPrefix.size()) == name; });
  return known;
}

}  // namespace gpt2
