#include "src/convert/config_json.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "src/base/error.h"
#include "src/convert/warnings.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

// Keys that say nothing about the arithmetic of one forward pass: dropout, heads for other tasks, generation defaults and
// book-keeping of the transformers library.
constexpr std::string_view kInert[] = {
    "_attn_implementation", "_name_or_path", "architectures", "attn_implementation", "attn_pdrop", "bad_words_ids",
    "begin_suppress_tokens", "chunk_size_feed_forward", "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype",
    "early_stopping", "embd_pdrop", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "finetuning_task",
    "forced_bos_token_id", "forced_eos_token_id", "gradient_checkpointing", "id2label", "initializer_range", "is_decoder",
    "label2id", "length_penalty", "max_length", "min_length", "n_ctx", "n_special", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_labels", "num_return_sequences", "output_attentions", "output_hidden_states",
    "output_past", "output_scores", "pad_token_id", "predict_special_tokens", "prefix", "problem_type",
    "remove_invalid_values", "reorder_and_upcast_attn", "repetition_penalty", "resid_pdrop", "return_dict",
    "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params", "temperature",
    "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript", "transformers_version",
    "typical_p", "unk_token_id", "use_bfloat16", "use_cache"};

bool is_inert(std::string_view key) {
  return key.starts_with("summary_") || std::find(std::begin(kInert), std::end(kInert), key) != std::end(kInert);
}

class Reader {
 public:
  Reader(const Json& json, std::string_view file) : json_(json), file_(file) {}

  // The value of a known key; nullptr if it is absent or null. Marks the key as known.
  const Json* value(std::string_view key) {
    known_.push_back(key);
    const Json* found = json_.find(key);
    return found == nullptr || found->kind == Json::Kind::null ? nullptr : found;
  }

  [[noreturn]] void refuse(std::string_view key, std::string_view expected, const Json& found) const {
    fail_model(file_, key, expected, found.describe());
  }

  std::optional<uint32_t> size(std::string_view key) {
    const Json* found = value(key);
    if (found == nullptr) return std::nullopt;
    if (found->kind != Json::Kind::integer || found->integer < 1 || found->integer > INT32_MAX) {
      refuse(key, "a whole number from 1", *found);
    }
    return static_cast<uint32_t>(found->integer);
  }

  uint32_t required_size(std::string_view key) {
    const auto found = size(key);
    if (!found) fail_model(file_, key, "a whole number from 1", "none");
    return *found;
  }

  bool flag(std::string_view key, bool otherwise) {
    const Json* found = value(key);
    if (found == nullptr) return otherwise;
    if (found->kind != Json::Kind::boolean) refuse(key, "true or false", *found);
    return found->boolean;
  }

  // An error if the key is there with any value that means more than "not used".
  void refuse_if_used(std::string_view key, std::string_view expected) {
    const Json* found = value(key);
    if (found == nullptr) return;
    const bool unused = (found->kind == Json::Kind::boolean && !found->boolean) ||
                        (found->kind == Json::Kind::array && found->array.empty()) ||
                        (found->kind == Json::Kind::object && found->object.empty());
    if (!unused) refuse(key, expected, *found);
  }

  // The token ids of a number or an array of them that are below n_vocab; nothing for those below 0, which mean "unset".
  std::vector<int32_t> tokens(std::string_view key, uint32_t n_vocab, std::vector<std::string>& warnings) {
    std::vector<int32_t> ids;
    const Json* found = value(key);
    if (found == nullptr) return ids;
    const bool list = found->kind == Json::Kind::array;
    for (const Json& id : list ? std::span(found->array) : std::span(found, 1)) {
      const bool whole = id.kind == Json::Kind::integer || id.kind == Json::Kind::unsigned_integer;
      if (!whole) refuse(key, "a token id", id);
      if (id.kind == Json::Kind::integer && id.integer < 0) continue;
      if (id.kind == Json::Kind::integer && id.integer < n_vocab) {
        ids.push_back(static_cast<int32_t>(id.integer));
      } else {
        warnings.push_back(printable(file_, 400) + ": " + std::string(key) + ": expected an id below vocab_size = " +
                           std::to_string(n_vocab) + ", found " + id.describe() + ": left out");
      }
    }
    return ids;
  }

  std::vector<std::string> unknown_keys() const {
    std::vector<std::string> warnings;
    for (const auto& [key, unused, place] : json_.object) {
      const bool known = std::find(known_.begin(), known_.end(), key) != known_.end();
      if (!known && !is_inert(key)) warnings.push_back(printable(file_, 400) + ": unknown key \"" + printable(key) + "\" ignored");
    }
    return warnings;
  }

 private:
  const Json& json_;
  std::string_view file_;
  std::vector<std::string_view> known_;
};

// The type decides; without one, the architectures do. Heads of other kinds are other tensors beside the same model.
void check_kind(Reader& in, std::string_view file, std::vector<std::string>& warnings) {
  const Json* type = in.value("model_type");
  if (type != nullptr && type->string != "gpt2") in.refuse("model_type", "\"gpt2\"", *type);
  const Json* architectures = in.value("architectures");
  if (architectures == nullptr) return;
  if (architectures->kind != Json::Kind::array) in.refuse("architectures", "an array", *architectures);
  for (const Json& name : architectures->array) {
    if (name.string == "GPT2LMHeadModel" || name.string == "GPT2Model" || name.string == "GPT2DoubleHeadsModel") continue;
    if (type == nullptr && !name.string.starts_with("GPT2")) in.refuse("architectures", "\"GPT2LMHeadModel\"", name);
    warnings.push_back(printable(file, 400) + ": architectures: expected \"GPT2LMHeadModel\", found " + name.describe() +
                       ": taken as a language model all the same");
  }
}

Activation read_activation(Reader& in) {
  const Json* name = in.value("activation_function");
  if (name == nullptr) return Activation::gelu_tanh;
  // All of these are 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), written differently.
  for (const std::string_view tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}) {
    if (name->string == tanh) return Activation::gelu_tanh;
  }
  if (name->string == "gelu" || name->string == "gelu_python") return Activation::gelu_erf;
  if (name->string == "relu") return Activation::relu;
  in.refuse("activation_function", "gelu_new, gelu_pytorch_tanh, gelu_fast, gelu or relu", *name);
}

float read_epsilon(Reader& in) {
  const Json* value = in.value("layer_norm_epsilon");
  if (value == nullptr) return 1e-5f;
  const bool whole = value->kind == Json::Kind::integer;
  const double epsilon = whole ? static_cast<double>(value->integer) : value->real;
  const bool usable = (whole || value->kind == Json::Kind::real) && static_cast<float>(epsilon) > 0 && epsilon <= 1;
  if (!usable) in.refuse("layer_norm_epsilon", "a number above 0, at most 1", *value);
  return static_cast<float>(epsilon);
}

}  // namespace

ConfigFile parse_config(std::string_view text, std::string_view file) {
  const Json json = parse_json(text, file);
  if (json.kind != Json::Kind::object) fail_model(file, "configuration", "an object", json.describe());
  Reader in(json, file);
  ConfigFile result;
  check_kind(in, file, result.warnings);
  Config& c = result.config;
  c.n_layer = in.required_size("n_layer");
  c.n_head = in.required_size("n_head");
  c.n_embd = in.required_size("n_embd");
  c.n_vocab = in.required_size("vocab_size");
  const auto n_positions = in.size("n_positions"), n_ctx = in.size("n_ctx");
  if (!n_positions && !n_ctx) fail_model(file, "n_positions", "a whole number from 1", "none");
  c.n_ctx = n_positions ? *n_positions : *n_ctx;
  c.n_inner = in.size("n_inner").value_or(4 * c.n_embd);
  c.d_head = c.n_embd / c.n_head;
  c.layer_norm_epsilon = read_epsilon(in);
  c.activation = read_activation(in);
  c.scale_attn_weights = in.flag("scale_attn_weights", true);
  c.scale_attn_by_inverse_layer_idx = in.flag("scale_attn_by_inverse_layer_idx", false);
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  in.flag("reorder_and_upcast_attn", false);  // guards half precision only: the same result in f32
  in.refuse_if_used("add_cross_attention", "false (this program has no encoder)");
  in.refuse_if_used("is_encoder_decoder", "false");
  in.refuse_if_used("pruned_heads", "no pruned heads");
  in.refuse_if_used("quantization_config", "unquantised weights");
  const std::vector<int32_t> bos = in.tokens("bos_token_id", c.n_vocab, result.warnings);
  if (!bos.empty()) c.bos_token_id = bos[0];
  c.eos_token_ids = in.tokens("eos_token_id", c.n_vocab, result.warnings);
  check_config(c, file);
  add_first_few(result.warnings, in.unknown_keys(), "unknown keys");
  return result;
}

void apply_generation_config(std::string_view text, std::string_view file, ConfigFile& result) {
  const Json json = parse_json(text, file);
  if (json.kind != Json::Kind::object) fail_model(file, "configuration", "an object", json.describe());
  Reader in(json, file);
  Config& c = result.config;
  const std::vector<int32_t> bos = in.tokens("bos_token_id", c.n_vocab, result.warnings);
  if (!bos.empty()) c.bos_token_id = bos[0];
  std::vector<int32_t> eos = in.tokens("eos_token_id", c.n_vocab, result.warnings);
  if (!eos.empty()) c.eos_token_ids = std::move(eos);
}

}  // namespace gpt2
