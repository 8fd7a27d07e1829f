#include "src/model/schema.h"

#include <algorithm>
#include <charconv>
#include <concepts>
#include <type_traits>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace gpt2 {

std::string_view arrangement_name(Arrangement arrangement) {
  switch (arrangement) {
    case Arrangement::vector: return "vector";
    case Arrangement::rows: return "rows";
    case Arrangement::panels: return "panels";
    case Arrangement::gated: return "gated";
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
  const uint64_t d_heads = uint64_t{c.n_head} * c.d_head, d_keys = uint64_t{c.n_kv_head} * c.d_head;
  const auto add_norm = [&](const std::string& name, uint32_t layer) {
    add(name + ".weight", "", vector, c.n_embd, 1, layer);
    if (c.norm == Norm::layer) add(name + ".bias", "", vector, c.n_embd, 1, layer);
  };
  if (c.positions == Positions::learned) add("wpe.weight", "", rows, c.n_ctx, c.n_embd);
  if (c.positions == Positions::rotary) add(std::string(kFrequencies), "", vector, c.d_pad() / 2, 1);
  for (uint32_t i = 0; i < c.n_layer; ++i) {
    const std::string h = "h." + std::to_string(i) + ".";
    add_norm(h + "ln_1", i);
    add(h + "attn.c_attn.weight", h + "attn.c_attn.bias", qkv, d_heads + 2 * d_keys, c.n_embd, i);
    add(h + "attn.c_proj.weight", h + "attn.c_proj.bias", panels, c.n_embd, d_heads, i);
    if (c.residual != Residual::parallel_one_norm) add_norm(h + "ln_2", i);
    if (c.mlp == Mlp::plain) add(h + "mlp.c_fc.weight", h + "mlp.c_fc.bias", panels, c.n_inner, c.n_embd, i);
    if (c.mlp == Mlp::gated)
      add(h + "mlp.c_fc.weight", h + "mlp.c_fc.bias", gated, 2 * uint64_t{c.n_inner}, c.n_embd, i);
    add(h + "mlp.c_proj.weight", h + "mlp.c_proj.bias", panels, c.n_embd, c.n_inner, i);
  }
  add_norm("ln_f", 0);
  add("wte.weight", "", panels, c.n_vocab, c.n_embd);
  if (c.n_draft_vocab > 0) {
    add(std::string(kDraftHead), c.head_bias ? "lm_head.bias" : "", panels, c.n_draft_vocab, c.n_embd);
    return schema;
  }
  if (!c.tied_lm_head) add("lm_head.weight", c.head_bias ? "lm_head.bias" : "", panels, c.n_vocab, c.n_embd);
  return schema;
}

uint64_t packed_rows(const TensorSpec& spec, const Config& config) {
  switch (spec.arrangement) {
    case Arrangement::qkv:
    case Arrangement::qkv_scaled: return (uint64_t{config.n_head} + 2 * config.n_kv_head) * config.d_pad();
    case Arrangement::gated: return 2 * round_up(spec.rows / 2, kPanelRows / 2);
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
  constexpr std::string_view names[] = {"f32", "bf16", "int8", "int4", "int8g32"};
  return names[static_cast<size_t>(dtype)];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DType dtype : kAllDTypes) {
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
  visit("split", rules.split);
  visit("ignore_merges", rules.ignore_merges);
  visit("nfc", rules.nfc);
  visit("symbols", rules.symbols);
  visit("unknown", rules.unknown);
  visit("fuse_unknown", rules.fuse_unknown);
  visit("unused", rules.unused);
}

// What a block is made of, once. A new part is a line here and a field there.
template <class C, class Visit>
void each_block_field(C& config, Visit visit) {
  visit("architecture", config.architecture);
  visit("n_kv_head", config.n_kv_head);
  visit("d_head", config.d_head);
  visit("norm", config.norm);
  visit("positions", config.positions);
  visit("rotary_dims", config.rotary_dims);
  visit("mlp", config.mlp);
  visit("residual", config.residual);
  visit("windows", config.windows);
  visit("embedding_scale", config.embedding_scale);
  visit("head_bias", config.head_bias);
}

template <class Enum>
concept Named = requires(Enum value) { name_of(value); };

const std::string& to_text(const std::string& value) { return value; }
template <Named Enum>
std::string to_text(Enum value) {
  return std::string(name_of(value));
}
std::string to_text(uint32_t value) { return std::to_string(value); }
std::string to_text(int32_t value) { return std::to_string(value); }
std::string to_text(bool value) { return value ? "true" : "false"; }
std::string to_text(float value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}
template <class Number>
std::string to_text(const std::vector<Number>& values) {
  std::string text;
  for (const Number value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
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
bool from_text(std::string_view text, std::string& value) {
  value = text;
  return !text.empty();
}
template <Named Enum>
bool from_text(std::string_view text, Enum& value) {
  constexpr uint8_t kMost = std::is_same_v<Enum, PrefixSpace>                                     ? 5
                            : std::is_same_v<Enum, Activation> || std::is_same_v<Enum, SplitRule> ? 4
                            : std::is_same_v<Enum, Residual>                                      ? 3
                                                                                                  : 2;
  for (uint8_t i = 0; i < kMost; ++i) {
    value = static_cast<Enum>(i);
    if (name_of(value) == text) return true;
  }
  return false;
}
template <class Number>
bool from_text(std::string_view text, std::vector<Number>& values) {
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

namespace {

// GPT-2's heads, unless the file has others.
void read_heads(Config& config, const MetadataLookup& metadata, std::string_view file) {
  const bool own_width = metadata.value(std::string(kBlockPrefix) + "d_head") != nullptr;
  if (config.n_head == 0) fail_model(file, "config.n_head", "at least 1", "0");
  if (!own_width) return derive_heads(config, file);
  config.n_kv_head = config.n_head;
}

}  // namespace

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
  read_heads(config, metadata, file);
  each_block_field(config, [&](std::string_view name, auto& field) {
    const std::string key = std::string(kBlockPrefix) + std::string(name);
    const std::string* text = metadata.value(key);
    if (text == nullptr || from_text(*text, field)) return;
    fail_model(file, key, "a value that this version knows", "\"" + *text + "\"");
  });
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
  std::erase_if(metadata,
                [&](const auto& item) { return std::find(defaults.begin(), defaults.end(), item) != defaults.end(); });
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

std::vector<std::pair<std::string, std::string>> roles_metadata(const TokenRoles& roles) {
  std::vector<std::pair<std::string, std::string>> metadata;
  for (size_t i = 0; i < kTokenRoles; ++i) {
    if (roles.ids[i] < 0) continue;
    metadata.emplace_back(std::string(kRolePrefix) + std::string(name_of(token_role(i))), to_text(roles.ids[i]));
  }
  return metadata;
}

TokenRoles roles_from_metadata(const MetadataLookup& metadata, size_t n_tokens, std::string_view file) {
  TokenRoles roles;
  for (size_t i = 0; i < kTokenRoles; ++i) {
    const std::string key = std::string(kRolePrefix) + std::string(name_of(token_role(i)));
    const std::string* text = metadata.value(key);
    if (text == nullptr) continue;
    if (from_text(*text, roles.ids[i]) && roles.ids[i] >= 0 && static_cast<size_t>(roles.ids[i]) < n_tokens) continue;
    fail_model(file, key, "a token's id below " + std::to_string(n_tokens), "\"" + *text + "\"");
  }
  return roles;
}

std::vector<std::pair<std::string, std::string>> block_metadata(const Config& config) {
  Config plain;
  plain.n_kv_head = config.n_head;
  plain.d_head = config.n_head > 0 && config.n_embd % config.n_head == 0 ? config.n_embd / config.n_head : 0;
  std::vector<std::string> usual;
  each_block_field(plain, [&](std::string_view, const auto& field) { usual.push_back(to_text(field)); });
  std::vector<std::pair<std::string, std::string>> metadata;
  size_t i = 0;
  each_block_field(config, [&](std::string_view name, const auto& field) {
    const std::string text = to_text(field);
    if (text != usual[i++]) metadata.emplace_back(std::string(kBlockPrefix) + std::string(name), text);
  });
  return metadata;
}

bool is_block_key(std::string_view key) {
  Config config;
  bool known = false;
  each_block_field(config, [&](std::string_view name, auto&) {
    known = known || key == std::string(kBlockPrefix) + std::string(name);
  });
  return known;
}

}  // namespace gpt2
