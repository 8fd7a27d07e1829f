#include "src/convert/config_json.h"

#include <algorithm>
#include <optional>

#include "src/base/error.h"
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

  int32_t token(std::string_view key, const Json& value) const {
    if (value.kind != Json::Kind::integer || value.integer < 0 || value.integer > INT32_MAX) {
      refuse(key, "a token id", value);
    }
    return static_cast<int32_t>(value.integer);
  }

  std::vector<std::string> warnings() const {
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

void check_kind(Reader& in) {
  if (const Json* type = in.value("model_type"); type != nullptr && type->string != "gpt2") in.refuse("model_type", "\"gpt2\"", *type);
  const Json* architectures = in.value("architectures");
  if (architectures == nullptr) return;
  if (architectures->kind != Json::Kind::array) in.refuse("architectures", "an array", *architectures);
  for (const Json& name : architectures->array) {
    if (name.string != "GPT2LMHeadModel" && name.string != "GPT2Model" && name.string != "GPT2DoubleHeadsModel") {
      in.refuse("architectures", "\"GPT2LMHeadModel\"", name);
    }
  }
}

Activation read_activation(Reader& in) {
  const Json* name = in.value("activation_function");
  if (name == nullptr || name->string == "gelu_new" || name->string == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name->string == "gelu") return Activation::gelu_erf;
  if (name->string == "relu") return Activation::relu;
  in.refuse("activation_function", "gelu_new, gelu_pytorch_tanh, gelu or relu", *name);
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
  check_kind(in);
  ConfigFile result;
  Config& c = result.config;
  c.n_layer = in.required_size("n_layer");
  c.n_head = in.required_size("n_head");
  c.n_embd = in.required_size("n_embd");
  c.n_vocab = in.required_size("vocab_size");
  const auto n_positions = in.size("n_positions"), n_ctx = in.size("n_ctx");
  if (!n_positions && !n_ctx) fail_model(file, "n_positions", "a whole number from 1", "none");
  c.n_ctx = n_positions ? *n_positions : *n_ctx;
  c.n_inner = in.size("n_inner").value_or(4 * c.n_embd);
  derive_heads(c, file);
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
  if (const Json* bos = in.value("bos_token_id")) c.bos_token_id = in.token("bos_token_id", *bos);
  if (const Json* eos = in.value("eos_token_id")) {
    if (eos->kind == Json::Kind::array) {
      for (const Json& id : eos->array) c.eos_token_ids.push_back(in.token("eos_token_id", id));
    } else {
      c.eos_token_ids.push_back(in.token("eos_token_id", *eos));
    }
  }
  check_config(c, file);
  result.warnings = in.warnings();
  return result;
}

}  // namespace gpt2
