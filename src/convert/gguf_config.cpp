#include "src/convert/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/convert/gguf_formats.h"
#include "src/convert/warnings.h"

namespace gpt2 {
namespace {

// Keys that change the arithmetic, and the one value that does not.
struct Neutral {
  std::string_view key;
  double value;
};
constexpr Neutral kNeutral[] = {{"expert_count", 0}, {"attention.max_alibi_bias", 0}, {"attention.clamp_kqv", 0},
                                {"logit_scale", 1}, {"residual_scale", 1}, {"embedding_scale", 1},
                                {"attn_logit_softcapping", 0}, {"final_logit_softcapping", 0}, {"pooling_type", 0},
                                {"rope.scaling.attn_factor", 1}};
// Keys that are read here by name or say nothing of the arithmetic.
constexpr std::string_view kKnown[] = {"vocab_size", "attention.value_length", "attention.scale", "attention.causal",
                                       "attention.sliding_window", "use_parallel_residual", "rope.scaling.type",
                                       "rope.scaling.factor", "rope.scale_linear", "rope.scaling.finetuned",
                                       "rope.scaling.original_context_length", "tensor_data_layout"};

class Reader {
 public:
  Reader(const GgufFile& gguf, const NamedTensors& tensors) : gguf_(gguf), tensors_(tensors) {}

  GgufConfig read() {
    check_kind();
    format_ = find_format();
    fused_ = tensors_.find("blk.0.attn_qkv.weight") != nullptr;
    refuse_unsupported();
    read_keys();
    read_head();
    read_tokens();
    Json json;
    json.kind = Json::Kind::object;
    json.object.set(std::move(members_));
    GgufConfig result;
    result.file = config_from_json(json, gguf_.path(), names_);
    result.names = gguf_rules(*format_, fused_);
    check_against(result.file.config);
    divide_frequencies(result.file);
    warn_of_unknown(result.file.warnings);
    return result;
  }

 private:
  std::string key(std::string_view end) const { return std::string(format_->name) + "." + std::string(end); }

  void check_kind() const {
    const auto type = gguf_.string("general.type");
    if (type && *type != "model") {
      fail_model(gguf_.path(), "general.type", "\"model\"",
                 "\"" + std::string(*type) + "\"" + (*type == "adapter" ? " (merge it into its model first)" : ""));
    }
    const auto parts = gguf_.integer("split.count");
    if (parts && *parts > 1) {
      fail_model(gguf_.path(), "split.count", "1 (gguf-split --merge makes one file of them)", std::to_string(*parts));
    }
  }

  const GgufFormat* find_format() const {
    const auto name = gguf_.string("general.architecture");
    const GgufFormat* format = find_gguf_format(name.value_or(""));
    if (format != nullptr) return format;
    fail_model(gguf_.path(), "general.architecture", gguf_architecture_names(),
               name ? "\"" + std::string(*name) + "\"" : "none");
  }

  void refuse_unsupported() const {
    for (const Neutral& neutral : kNeutral) {
      const auto value = gguf_.number(key(neutral.key));
      if (!value || *value == neutral.value) continue;
      if (neutral.key == "embedding_scale" && format_->name == "gemma") continue;  // put_embedding_dtype()
      fail_model(gguf_.path(), key(neutral.key), std::to_string(static_cast<int>(neutral.value)) + " or no such key",
                 std::to_string(*value));
    }
    if (!gguf_.boolean(key("attention.causal")).value_or(true)) {
      fail_model(gguf_.path(), key("attention.causal"), "true", "false");
    }
  }

  void put(std::string_view ours, std::string_view theirs, Json value) {
    names_.emplace_back(ours, std::string(theirs));
    members_.push_back({std::string(ours), std::move(value), 0});
  }
  static Json whole(uint64_t value) {
    Json json;
    json.kind = Json::Kind::integer;
    json.integer = static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
    return json;
  }
  static Json real(double value) {
    Json json;
    json.kind = Json::Kind::real;
    json.real = value;
    return json;
  }
  static Json flag(bool value) {
    Json json;
    json.kind = Json::Kind::boolean;
    json.boolean = value;
    return json;
  }
  static Json text(std::string_view value) {
    Json json;
    json.kind = Json::Kind::string;
    json.string = value;
    return json;
  }

  // An integer or a number; of one value a layer, the one that all have.
  std::optional<Json> value(const std::string& name) const {
    const GgufValue* found = gguf_.find(name);
    if (found == nullptr) return std::nullopt;
    if (found->is_array) {
      const std::vector<int64_t> items = *gguf_.integers(name);
      const bool same = !items.empty() && std::count(items.begin(), items.end(), items[0]) == std::ssize(items);
      if (!same) fail_model(gguf_.path(), name, "the same in all layers", describe(*found));
      return whole(static_cast<uint64_t>(std::max<int64_t>(items[0], 0)));
    }
    if (found->kind == GgufKind::f32 || found->kind == GgufKind::f64) return real(*gguf_.number(name));
    return whole(*gguf_.integer(name));
  }

  void read_keys() {
    put("model_type", "general.architecture", text(format_->model_type));
    for (const GgufKeyPair& pair : format_->keys) {
      std::optional<Json> found = value(key(pair.theirs));
      if (!found) fail_model(gguf_.path(), key(pair.theirs), "a number", "none");
      put(pair.ours, key(pair.theirs), std::move(*found));
    }
    for (const GgufKeyPair& pair : gguf_optional_keys()) {
      const bool dims = pair.ours == "rotary_dim";
      if (!format_->rotary || (dims && !format_->partial)) continue;
      std::optional<Json> found = value(key(pair.theirs));
      if (!found && dims) fail_model(gguf_.path(), key(pair.theirs), "a number", "none");
      const bool base = pair.ours == "rope_theta" && format_->model_type == "gpt_neox";
      if (found) put(base ? "rotary_emb_base" : pair.ours, key(pair.theirs), std::move(*found));
    }
    if (format_->model_type == "gpt_bigcode") put_multi_query();
    if (format_->name == "gemma") put_embedding_dtype();
    if (format_->model_type == "gemma" && !gguf_.find(key("attention.key_length"))) put_derived_width();
    if (const auto parallel = gguf_.boolean(key("use_parallel_residual"))) {
      const bool known = format_->model_type == "gpt_neox" || format_->model_type == "stablelm";
      if (known) put("use_parallel_residual", key("use_parallel_residual"), flag(*parallel));
    }
    if (format_->rotary) put_scaling();
    const auto window = gguf_.integer(key("attention.sliding_window"));
    const auto context = gguf_.integer(key("context_length"));
    if (window && *window > 0 && context && *window < *context) {
      if (format_->name != "llama") {
        fail_model(gguf_.path(), key("attention.sliding_window"), "none, or one from context_length on",
                   std::to_string(*window));
      }
      members_[0].second = text("mistral");
      put("sliding_window", key("attention.sliding_window"), whole(*window));
    }
  }

  // Gemma's embeddings are scaled by a root; a file whose model was trained with a rounded one may say so.
  void put_embedding_dtype() {
    const std::string name = key("embedding_scale");
    const auto scale = gguf_.number(name);
    const auto n_embd = static_cast<uint32_t>(gguf_.integer(key("embedding_length")).value_or(0));
    if (!scale || *scale == 1) return;
    const std::string_view dtype = gemma_dtype(n_embd, static_cast<float>(*scale));
    if (dtype.empty()) {
      fail_model(gguf_.path(), name, "the root of embedding_length, or that in bfloat16 or float16",
                 std::to_string(*scale));
    }
    put("torch_dtype", name, text(dtype));
  }

  void put_multi_query() {
    const uint64_t heads = gguf_.integer(key("attention.head_count")).value_or(0);
    const uint64_t keys = gguf_.integer(key("attention.head_count_kv")).value_or(heads);
    if (keys != 1 && keys != heads) {
      fail_model(gguf_.path(), key("attention.head_count_kv"), "1 or head_count = " + std::to_string(heads),
                 std::to_string(keys));
    }
    put("multi_query", key("attention.head_count_kv"), flag(keys == 1));
  }

  void put_derived_width() {
    const uint64_t width = gguf_.integer(key("embedding_length")).value_or(0);
    const uint64_t heads = gguf_.integer(key("attention.head_count")).value_or(0);
    if (heads == 0 || width % heads != 0) {
      fail_model(gguf_.path(), key("attention.head_count"), "a divisor of embedding_length = " + std::to_string(width),
                 std::to_string(heads));
    }
    put("head_dim", key("attention.head_count"), whole(width / heads));
  }

  // None, linear, or the older key of the linear one.
  void put_scaling() {
    const std::string type_key = key("rope.scaling.type"), factor_key = key("rope.scaling.factor");
    const auto type = gguf_.string(type_key);
    const auto older = gguf_.number(key("rope.scale_linear"));
    const auto factor = gguf_.number(factor_key);
    if (type && *type != "none" && *type != "linear") {
      fail_model(gguf_.path(), type_key, "none or linear (others depend on a text's length or change the scores)",
                 "\"" + std::string(*type) + "\"");
    }
    const bool linear = type ? *type == "linear" : factor.has_value() || older.has_value();
    if (!linear) return;
    Json object;
    object.kind = Json::Kind::object;
    std::vector<Json::Member> members;
    members.push_back({"type", text("linear"), 0});
    members.push_back({"factor", real(factor.value_or(older.value_or(0))), 0});
    object.object.set(std::move(members));
    put("rope_scaling", type_key, std::move(object));
    names_.emplace_back("rope_scaling.factor", factor ? factor_key : key("rope.scale_linear"));
  }

  // A head that is not there is wte; one that has wte's values is stored once.
  void read_head() {
    const NamedTensor *wte = tensors_.find("token_embd.weight"), *head = tensors_.find("output.weight");
    if (wte == nullptr) fail_model(gguf_.path(), "token_embd.weight", "a tensor", "none");
    if (wte->shape.size() != 2) {
      fail_model(gguf_.path(), "token_embd.weight", "two dimensions", shape_text(wte->shape));
    }
    const uint64_t n_vocab = wte->shape[0], said = gguf_.integer(key("vocab_size")).value_or(n_vocab);
    if (said != n_vocab) {
      fail_model(gguf_.path(), key("vocab_size"), "token_embd.weight's " + std::to_string(n_vocab),
                 std::to_string(said));
    }
    put("vocab_size", "token_embd.weight", whole(n_vocab));
    const bool has_bias = tensors_.find("output.bias") != nullptr;
    const bool tied = !has_bias && (head == nullptr || same_values(*wte, *head));
    put("tie_word_embeddings", "output.weight", flag(tied));
  }

  void read_tokens() {
    const std::string prefix = "tokenizer.ggml.";
    if (const auto id = token(prefix + "bos_token_id")) put("bos_token_id", prefix + "bos_token_id", whole(*id));
    std::vector<Json> ends;
    for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
      const auto id = token(prefix + name);
      const auto is_same = [&](const Json& other) { return id && other.integer == static_cast<int64_t>(*id); };
      if (id && std::none_of(ends.begin(), ends.end(), is_same)) ends.push_back(whole(*id));
    }
    if (ends.empty()) return;
    Json list;
    list.kind = Json::Kind::array;
    list.array.set(std::move(ends));
    put("eos_token_id", prefix + "eos_token_id", std::move(list));
  }

  // An id of the metadata; where the file gives none, what its kind of tokenizer has by default.
  std::optional<uint64_t> token(const std::string& name) const {
    if (const auto id = gguf_.integer(name)) return id;
    const bool bos = name.ends_with(".bos_token_id"), eos = name.ends_with(".eos_token_id");
    if (!bos && !eos) return std::nullopt;
    if (gguf_.string("tokenizer.ggml.model") == "llama") return bos ? 1 : 2;
    const auto texts = gguf_.strings("tokenizer.ggml.tokens");
    if (!texts) return std::nullopt;
    const auto found = std::find(texts->begin(), texts->end(), "<|endoftext|>");
    if (found == texts->end()) return std::nullopt;
    return static_cast<uint64_t>(found - texts->begin());
  }

  // What follows from other keys and may be said again.
  void check_against(const Config& c) const {
    const auto check = [&](std::string_view end, uint64_t expected) {
      const auto found = value(key(end));
      if (!found || number_of(*found) == static_cast<double>(expected)) return;
      fail_model(gguf_.path(), key(end), std::to_string(expected), found->describe());
    };
    check("attention.key_length", c.d_head);
    check("attention.value_length", c.d_head);
    if (format_->rotary) check("rope.dimension_count", c.rotary_dims);
    if (!format_->rotary) check("attention.head_count_kv", c.n_kv_head);
    const auto scale = gguf_.number(key("attention.scale"));
    if (scale && *scale != 0 && static_cast<float>(*scale) != c.attention_scale(0)) {
      fail_model(gguf_.path(), key("attention.scale"), std::to_string(c.attention_scale(0)), std::to_string(*scale));
    }
  }

  // Llama 3's scaling: what each pair's frequency is divided by.
  void divide_frequencies(ConfigFile& file) const {
    const NamedTensor* divisors = tensors_.find("rope_freqs.weight");
    if (divisors == nullptr) return;
    const uint64_t pairs = file.config.rotary_dims / 2;
    if (pairs == 0) fail_model(gguf_.path(), divisors->full_name, "positions that turn", "this tensor");
    if (divisors->shape != std::vector{pairs}) {
      fail_model(gguf_.path(), divisors->full_name, "shape " + shape_text({pairs}), shape_text(divisors->shape));
    }
    std::vector<float> values(pairs);
    divisors->read(0, pairs, values.data());
    for (uint64_t i = 0; i < pairs; ++i) {
      if (!(values[i] > 0) || !std::isfinite(values[i])) {
        fail_model(gguf_.path(), divisors->full_name, "positive numbers", std::to_string(values[i]));
      }
      file.frequencies[i] /= values[i];
      if (static_cast<double>(file.frequencies[i]) * file.config.n_ctx <= kMaxAngle) continue;
      fail_model(gguf_.path(), divisors->full_name, "numbers that keep the angles of " +
                 std::to_string(file.config.n_ctx) + " positions below 2^21", std::to_string(values[i]));
    }
  }

  void warn_of_unknown(std::vector<std::string>& warnings) const {
    std::vector<std::string> unknown;
    const std::string prefix = key("");
    const std::span<const GgufKeyPair> optional = gguf_optional_keys();
    for (const GgufEntry& entry : gguf_.entries()) {
      if (!entry.key.starts_with(prefix)) continue;
      const std::string_view end = entry.key.substr(prefix.size());
      const auto is_named = [&](const auto& name) { return name.second == entry.key; };
      const auto is_neutral = [&](const Neutral& neutral) { return neutral.key == end; };
      const auto is_optional = [&](const GgufKeyPair& pair) { return pair.theirs == end; };
      const bool known = std::any_of(names_.begin(), names_.end(), is_named) ||
                         std::any_of(std::begin(kNeutral), std::end(kNeutral), is_neutral) ||
                         std::any_of(optional.begin(), optional.end(), is_optional) ||
                         std::find(std::begin(kKnown), std::end(kKnown), end) != std::end(kKnown);
      if (known) continue;
      unknown.push_back(printable(gguf_.path(), 400) + ": unknown key \"" + printable(entry.key) + "\" ignored");
    }
    add_first_few(warnings, unknown, "unknown keys");
  }

  const GgufFile& gguf_;
  const NamedTensors& tensors_;
  const GgufFormat* format_ = nullptr;
  bool fused_ = false;  // q, k and v are one matrix
  std::vector<Json::Member> members_;
  KeyNames names_;
};

}  // namespace

GgufConfig read_gguf_config(const GgufFile& gguf, const NamedTensors& tensors) {
  return Reader(gguf, tensors).read();
}

}  // namespace gpt2
