#include "src/convert/config_writer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/convert/architecture.h"
#include "src/convert/config_json.h"
#include "src/convert/rope.h"
#include "src/model/schema.h"

namespace gpt2 {
namespace {

// What an architecture calls its sizes, and which biases it has: a key of config.json, or whether it always has them.
struct Names {
  std::string_view model_type, transformers_class;
  std::string_view n_layer, n_head, n_embd, n_inner, n_ctx, activation, epsilon;  // epsilon may be fixed: empty
  std::string_view attention_inputs, attention_output, mlp;
};
constexpr std::string_view kAlways = "always", kNever = "never";
constexpr Names kNames[] = {
    {"gpt2", "GPT2LMHeadModel", "n_layer", "n_head", "n_embd", "n_inner", "n_positions", "activation_function",
     "layer_norm_epsilon", kAlways, kAlways, kAlways},
    {"gpt_bigcode", "GPTBigCodeForCausalLM", "n_layer", "n_head", "n_embd", "n_inner", "n_positions",
     "activation_function", "layer_norm_epsilon", kAlways, kAlways, kAlways},
    {"gptj", "GPTJForCausalLM", "n_layer", "n_head", "n_embd", "n_inner", "n_positions", "activation_function",
     "layer_norm_epsilon", kNever, kNever, kAlways},
    {"gpt_neo", "GPTNeoForCausalLM", "num_layers", "num_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "activation_function", "layer_norm_epsilon", kNever, kAlways, kAlways},
    {"opt", "OPTForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "ffn_dim",
     "max_position_embeddings", "activation_function", "", kAlways, kAlways, kAlways},
    {"gpt_neox", "GPTNeoXForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "layer_norm_eps", kAlways, kAlways, kAlways},
    {"phi", "PhiForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "layer_norm_eps", kAlways, kAlways, kAlways},
    {"stablelm", "StableLmForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size",
     "intermediate_size", "max_position_embeddings", "hidden_act", "layer_norm_eps", "use_qkv_bias", kNever, kNever},
    {"llama", "LlamaForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "rms_norm_eps", "attention_bias", "attention_bias", "mlp_bias"},
    {"mistral", "MistralForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "rms_norm_eps", kNever, kNever, kNever},
    {"qwen2", "Qwen2ForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "rms_norm_eps", kAlways, kNever, kNever},
    {"gemma", "GemmaForCausalLM", "num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size",
     "max_position_embeddings", "hidden_act", "rms_norm_eps", "attention_bias", "attention_bias", kNever}};

const Names* find_names(std::string_view model_type) {
  const auto found = std::find_if(std::begin(kNames), std::end(kNames),
                                  [&](const Names& names) { return names.model_type == model_type; });
  return found == std::end(kNames) ? nullptr : found;
}

Json whole(int64_t value) {
  Json json;
  json.kind = Json::Kind::integer;
  json.integer = value;
  return json;
}
Json real(double value) {
  Json json;
  json.kind = Json::Kind::real;
  json.real = value;
  return json;
}
Json flag(bool value) {
  Json json;
  json.kind = Json::Kind::boolean;
  json.boolean = value;
  return json;
}
Json text(std::string_view value) {
  Json json;
  json.kind = Json::Kind::string;
  json.string = value;
  return json;
}
Json list(std::vector<Json> items) {
  Json json;
  json.kind = Json::Kind::array;
  json.array.set(std::move(items));
  return json;
}
Json object(std::vector<Json::Member> members) {
  Json json;
  json.kind = Json::Kind::object;
  json.object.set(std::move(members));
  return json;
}

// The double of the shortest decimal that is this float.
double short_real(float value) { return std::strtod(json_number(value).c_str(), nullptr); }

class Writer {
 public:
  Writer(const Model& model, std::string_view dtype)
      : model_(model), c_(model.config()), dtype_(dtype), names_(find_names(c_.architecture)) {
    if (names_ != nullptr) return;
    fail_model(model.name(), "block.architecture", "one that has a config.json", "\"" + c_.architecture + "\"");
  }

  ForeignConfig write() {
    ForeignConfig result;
    put("architectures", list({text(names_->transformers_class)}));
    put("model_type", text(names_->model_type));
    put_sizes();
    put_tokens();
    put_block();
    result.biases = {put_bias(names_->attention_inputs, "h.*.attn.c_attn"),
                     put_bias(names_->attention_output, "h.*.attn.c_proj"), put_bias(names_->mlp, "h.*.mlp.c_fc")};
    if (c_.positions == Positions::rotary) put_rotary();
    put("torch_dtype", text(is("gemma") ? gemma_dtype(c_.n_embd, c_.embedding_scale) : dtype_));
    result.json = object(std::move(members_));
    check_same(result.json);
    return result;
  }

 private:
  void put(std::string_view key, Json value) { members_.push_back({std::string(key), std::move(value), 0}); }
  bool is(std::string_view model_type) const { return names_->model_type == model_type; }

  void put_sizes() {
    put("vocab_size", whole(c_.n_vocab));
    put(names_->n_layer, whole(c_.n_layer));
    put(names_->n_head, whole(c_.n_head));
    put(names_->n_embd, whole(c_.n_embd));
    put(names_->n_inner, whole(c_.n_inner));
    put(names_->n_ctx, whole(c_.n_ctx));
    const bool any_heads = names_->n_embd == "hidden_size" && c_.positions == Positions::rotary;
    if (any_heads) put("num_key_value_heads", whole(c_.n_kv_head));
    if (any_heads && (is("gemma") || c_.n_head * c_.d_head != c_.n_embd)) put("head_dim", whole(c_.d_head));
    if (is("opt")) put("word_embed_proj_dim", whole(c_.n_embd));
    if (is("opt")) put("do_layer_norm_before", flag(true));
    if (is("gpt_bigcode")) put("multi_query", flag(c_.n_kv_head == 1));
    if (!names_->epsilon.empty()) put(names_->epsilon, real(short_real(c_.layer_norm_epsilon)));
  }

  void put_tokens() {
    put("bos_token_id", c_.bos_token_id >= 0 ? whole(c_.bos_token_id) : Json());
    std::vector<Json> ends;
    for (const int32_t id : c_.eos_token_ids) ends.push_back(whole(id));
    put("eos_token_id", ends.empty() ? Json() : ends.size() == 1 ? ends[0] : list(std::move(ends)));
  }

  void put_block() {
    put(names_->activation, text(activation_name()));
    if (is("gemma")) put("hidden_activation", text(activation_name()));
    put("tie_word_embeddings", flag(c_.tied_lm_head));
    if (is("gpt2") || is("gpt_bigcode")) put("scale_attn_weights", flag(c_.scale_attn_weights));
    if (is("gpt2")) put("scale_attn_by_inverse_layer_idx", flag(c_.scale_attn_by_inverse_layer_idx));
    if (is("gpt_neox") || is("stablelm")) put("use_parallel_residual", flag(c_.residual != Residual::serial));
    put_windows();
  }

  std::string_view activation_name() const {
    switch (c_.activation) {
      case Activation::gelu_tanh: return is("gemma") || is("gpt_bigcode") ? "gelu_pytorch_tanh" : "gelu_new";
      case Activation::gelu_erf: return "gelu";
      case Activation::relu: return "relu";
      case Activation::silu: return "silu";
    }
    return "";
  }

  void put_windows() {
    uint32_t window = 0, first = c_.n_layer;
    for (uint32_t i = c_.n_layer; i-- > 0;) {
      if (c_.window(i) == 0) continue;
      window = c_.window(i);
      first = i;
    }
    const Json size = window > 0 ? whole(window) : Json();
    if (is("mistral")) put("sliding_window", size);
    if (is("qwen2")) {
      put("use_sliding_window", flag(window > 0));
      put("sliding_window", size);
      put("max_window_layers", whole(first));
      const bool upper = std::all_of(c_.windows.begin() + std::min<ptrdiff_t>(first, std::ssize(c_.windows)),
                                     c_.windows.end(), [](uint32_t of_layer) { return of_layer > 0; });
      if (!upper) put("layer_types", kinds_of_layers("sliding_attention", "full_attention"));
    }
    if (!is("gpt_neo")) return;
    put("attention_types", list({list({kinds_of_layers("local", "global"), whole(1)})}));
    put("window_size", whole(window > 0 ? window : 256));
  }

  Json kinds_of_layers(std::string_view windowed, std::string_view whole_text) const {
    std::vector<Json> kinds;
    for (uint32_t i = 0; i < c_.n_layer; ++i) kinds.push_back(text(c_.window(i) > 0 ? windowed : whole_text));
    return list(std::move(kinds));
  }

  // `key` may stand for both sides of attention: it is put once.
  BiasUse put_bias(std::string_view key, std::string_view ours) {
    if (key == kAlways) return BiasUse::always;
    if (key == kNever) return BiasUse::never;
    const bool attention = key == "attention_bias";
    const ModelFile& file = model_.file();
    const bool used = attention ? has_biases(file, "h.*.attn.c_attn") || has_biases(file, "h.*.attn.c_proj")
                      : key == "mlp_bias" ? has_biases(file, "h.*.mlp.c_fc") || has_biases(file, "h.*.mlp.c_proj")
                                          : has_biases(file, ours);
    const auto is_key = [key](const Json::Member& member) { return member.first == key; };
    if (std::none_of(members_.begin(), members_.end(), is_key)) put(key, flag(used));
    return used ? BiasUse::always : BiasUse::never;
  }

  void put_rotary() {
    if (is("gptj")) return put("rotary_dim", whole(c_.rotary_dims));
    const std::optional<Rope> rope = find_rope(model_.weights().frequencies, c_.rotary_dims);
    if (!rope) fail_model(model_.name(), kFrequencies, "those of a rope_theta, or linear or llama3 scaling", "others");
    const bool whole_base = rope->base == std::floor(rope->base) && rope->base < 1e15;
    put(is("gpt_neox") ? "rotary_emb_base" : "rope_theta",
        whole_base && is("gpt_neox") ? whole(static_cast<int64_t>(rope->base)) : real(rope->base));
    put("rope_scaling", scaling(rope->scaling));
    if (is("gpt_neox")) put("rotary_pct", real(partial()));
    if (is("phi") || is("stablelm")) put("partial_rotary_factor", real(partial()));
  }

  // The part of a head that turns, so that its product with the width rounds down to it.
  double partial() const {
    const double part = static_cast<double>(c_.rotary_dims) / c_.d_head;
    return static_cast<uint32_t>(part * c_.d_head) == c_.rotary_dims ? part : (c_.rotary_dims + 0.25) / c_.d_head;
  }

  static Json scaling(const RopeScaling& scaling) {
    if (scaling.kind == RopeScaling::Kind::none) return {};
    std::vector<Json::Member> members;
    const bool linear = scaling.kind == RopeScaling::Kind::linear;
    if (linear) members.push_back({"type", text("linear"), 0});
    members.push_back({"rope_type", text(linear ? "linear" : "llama3"), 0});
    members.push_back({"factor", real(scaling.factor), 0});
    if (linear) return object(std::move(members));
    members.push_back({"low_freq_factor", real(scaling.low), 0});
    members.push_back({"high_freq_factor", real(scaling.high), 0});
    members.push_back({"original_max_position_embeddings", whole(static_cast<int64_t>(scaling.original)), 0});
    return object(std::move(members));
  }

  // Whatever the file says otherwise than the model has no key.
  void check_same(const Json& json) const {
    const ConfigFile again = config_from_json(json, model_.name());
    compare(config_metadata(c_), config_metadata(again.config));
    compare(block_metadata(c_), block_metadata(again.config));
    compare(block_metadata(again.config), block_metadata(c_));
    const std::span<const float> table = model_.weights().frequencies;
    const bool same = again.frequencies.size() == table.size() &&
                      std::memcmp(again.frequencies.data(), table.data(), table.size_bytes()) == 0;
    if (!same) fail_model(model_.name(), kFrequencies, "those that " + c_.architecture + " has", "others");
  }

  using Metadata = std::vector<std::pair<std::string, std::string>>;
  void compare(const Metadata& items, const Metadata& others) const {
    for (const auto& [key, value] : items) {
      const std::string_view name = key;  // clang 14 cannot capture a structured binding
      const auto same = std::find_if(others.begin(), others.end(), [name](const auto& i) { return i.first == name; });
      if (same != others.end() && same->second == value) continue;
      fail_model(model_.name(), key, "what a config.json of " + c_.architecture + " can say", value);
    }
  }

  const Model& model_;
  const Config& c_;
  std::string_view dtype_;
  const Names* names_;
  std::vector<Json::Member> members_;
};

}  // namespace

ForeignConfig foreign_config(const Model& model, std::string_view dtype) { return Writer(model, dtype).write(); }

}  // namespace gpt2
