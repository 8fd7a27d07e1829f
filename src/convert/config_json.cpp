#include "src/convert/config_json.h"

#include <span>
#include <string>
#include <utility>

#include "src/base/error.h"
#include "src/convert/architecture.h"
#include "src/convert/config_reader.h"
#include "src/convert/warnings.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

using Reader = ConfigReader;

// The type decides; without one, the architectures do. Heads of other kinds are other tensors beside the same model.
void check_kind(Reader& in, std::vector<std::string>& warnings) {
  const Json* type = in.value("model_type");
  if (type != nullptr && type->string != "gpt2") in.refuse("model_type", "gpt2, " + architecture_names(), *type);
  const Json* architectures = in.value("architectures");
  if (architectures == nullptr) return;
  const bool is_list = architectures->kind == Json::Kind::array;
  for (const Json& name : is_list ? std::span(architectures->array.data(), architectures->array.size())
                                  : std::span(architectures, 1)) {
    if (name.string == "GPT2LMHeadModel" || name.string == "GPT2Model" || name.string == "GPT2DoubleHeadsModel")
      continue;
    if (type == nullptr && !name.string.starts_with("GPT2")) in.refuse("architectures", "\"GPT2LMHeadModel\"", name);
    warnings.push_back(printable(in.file(), 400) + ": architectures: expected \"GPT2LMHeadModel\", found " +
                       name.describe() + ": taken as a language model all the same");
  }
}

void read_gpt2(Reader& in, ConfigFile& file) {
  Config& c = file.config;
  check_kind(in, file.warnings);
  c.n_layer = in.required_size("n_layer");
  c.n_head = in.required_size("n_head");
  c.n_embd = in.required_size("n_embd");
  c.n_vocab = in.required_size("vocab_size");
  const auto n_positions = in.size("n_positions"), n_ctx = in.size("n_ctx");
  if (!n_positions && !n_ctx) fail_model(in.file(), "n_positions", "a whole number from 1", "none");
  c.n_ctx = n_positions ? *n_positions : *n_ctx;
  c.n_inner = in.size("n_inner").value_or(4 * c.n_embd);
  derive_heads(c, in.file());
  c.layer_norm_epsilon = read_epsilon(in, "layer_norm_epsilon", 1e-5f);
  c.activation = read_activation(in, "activation_function", Activation::gelu_tanh);
  c.scale_attn_weights = in.flag("scale_attn_weights", true);
  c.scale_attn_by_inverse_layer_idx = in.flag("scale_attn_by_inverse_layer_idx", false);
  c.tied_lm_head = in.flag("tie_word_embeddings", true);
  file.biases = {true, true, true};
}

// What means the same for every architecture.
void read_common(Reader& in, ConfigFile& file) {
  in.flag("reorder_and_upcast_attn", false);  // guards half precision only: the same result in f32
  in.refuse_if_used("add_cross_attention", "false (this program has no encoder)");
  in.refuse_if_used("is_encoder_decoder", "false");
  in.refuse_if_used("pruned_heads", "no pruned heads");
  in.refuse_if_used("quantization_config", "unquantised weights");
  Config& c = file.config;
  const std::vector<int32_t> bos = in.tokens("bos_token_id", c.n_vocab, file.warnings);
  if (!bos.empty()) c.bos_token_id = bos[0];
  c.eos_token_ids = in.tokens("eos_token_id", c.n_vocab, file.warnings);
}

}  // namespace

ConfigFile parse_config(std::string_view text, std::string_view file) {
  const Json json = parse_json(text, file);
  if (json.kind != Json::Kind::object) fail_model(file, "configuration", "an object", json.describe());
  return config_from_json(json, file);
}

ConfigFile config_from_json(const Json& json, std::string_view file, const KeyNames& names) {
  Reader in(json, file, names);
  ConfigFile result;
  const Json* type = in.value("model_type");
  result.architecture = type != nullptr ? find_architecture(type->string) : nullptr;
  if (result.architecture != nullptr) {
    result.config.architecture = result.architecture->model_type;
    result.architecture->read_config(in, result);
  } else {
    read_gpt2(in, result);
  }
  read_common(in, result);
  check_config(result.config, file);
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
