#include "src/convert/architecture.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/layout.h"
#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/convert/rope.h"

namespace gpt2 {
namespace {

// Every architecture beside GPT-2's own.
constexpr const Architecture* kArchitectures[] = {&kGptBigCode, &kGptJ, &kGptNeoX, &kGptNeo, &kOpt,  &kPhi,
                                                  &kStableLm,   &kLlama, &kMistral, &kQwen2,  &kGemma};

// What rope_scaling or rope_parameters says.
class ScalingReader {
 public:
  ScalingReader(ConfigReader& in, const Json* parameters, std::string_view key)
      : in_(in), parameters_(parameters), key_(key) {}

  RopeScaling read() const {
    RopeScaling scaling;
    if (parameters_ == nullptr) return scaling;
    if (parameters_->kind != Json::Kind::object) in_.refuse(key_, "an object", *parameters_);
    scaling.kind = read_kind();
    if (scaling.kind != RopeScaling::Kind::none) scaling.factor = positive("factor");
    if (scaling.kind != RopeScaling::Kind::llama3) return scaling;
    scaling.low = positive("low_freq_factor");
    scaling.high = positive("high_freq_factor");
    scaling.original = positive("original_max_position_embeddings");
    if (scaling.low >= scaling.high) {
      fail_model(in_.file(), in_.name(key_), "low_freq_factor below high_freq_factor", std::to_string(scaling.low));
    }
    return scaling;
  }

 private:
  RopeScaling::Kind read_kind() const {
    for (const char* name : {"rope_type", "type"}) {
      const Json* type = parameters_->find(name);
      if (type == nullptr) continue;
      if (type->string == "llama3") return RopeScaling::Kind::llama3;
      if (type->string == "linear") return RopeScaling::Kind::linear;
      if (type->string == "default") break;
      in_.refuse(key_, "rope_type default, linear or llama3 (others depend on a text's length or change the scores)",
                 *type);
    }
    return RopeScaling::Kind::none;
  }

  double positive(std::string_view name) const {
    const Json* found = parameters_->find(name);
    const auto number = found != nullptr ? number_of(*found) : std::nullopt;
    if (!number || !(*number > 0) || !std::isfinite(*number)) {
      const std::string item = std::string(key_) + "." + std::string(name);
      fail_model(in_.file(), in_.name(item), "a positive number",
                 found != nullptr ? found->describe() : "none");
    }
    return *number;
  }

  ConfigReader& in_;
  const Json* parameters_;
  std::string_view key_;
};

// A number inside rope_parameters; nothing where it is not there.
std::optional<double> rope_parameter(ConfigReader& in, std::string_view name) {
  const Json* parameters = in.value("rope_parameters");
  const Json* found = parameters != nullptr ? parameters->find(name) : nullptr;
  return found != nullptr ? number_of(*found) : std::nullopt;
}

}  // namespace

const Architecture* find_architecture(std::string_view model_type) {
  const auto found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const Architecture* a) { return a->model_type == model_type; });
  return found == std::end(kArchitectures) ? nullptr : *found;
}

std::string architecture_names() {
  std::string names;
  for (const Architecture* a : kArchitectures) names += (names.empty() ? "" : ", ") + std::string(a->model_type);
  return names;
}

void read_llama_block(ConfigReader& in, Config& c) {
  read_llama_sizes(in, c);
  c.norm = Norm::rms;
  c.layer_norm_epsilon = read_epsilon(in, "rms_norm_eps", 1e-6f);
  c.mlp = Mlp::gated;
  c.activation = read_activation(in, "hidden_act", Activation::silu);
  c.tied_lm_head = in.flag("tie_word_embeddings", false);
}

void read_llama_sizes(ConfigReader& in, Config& c) {
  c.n_layer = in.required_size("num_hidden_layers");
  c.n_head = in.required_size("num_attention_heads");
  c.n_embd = in.required_size("hidden_size");
  c.n_inner = in.required_size("intermediate_size");
  c.n_vocab = in.required_size("vocab_size");
  c.n_ctx = in.size("max_position_embeddings").value_or(2048);
  c.n_kv_head = in.size("num_key_value_heads").value_or(c.n_head);
  const auto own_width = in.size("head_dim");
  if (own_width) {
    c.d_head = *own_width;
  } else {
    const uint32_t n_kv_head = c.n_kv_head;
    derive_heads(c, in.file());
    c.n_kv_head = n_kv_head;
  }
}

Activation read_activation(ConfigReader& in, std::string_view key, Activation otherwise) {
  const Json* name = in.value(key);
  if (name == nullptr) return otherwise;
  // All of these are 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), written differently.
  for (const char* tanh : {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}) {
    if (name->string == tanh) return Activation::gelu_tanh;
  }
  if (name->string == "gelu" || name->string == "gelu_python") return Activation::gelu_erf;
  if (name->string == "relu") return Activation::relu;
  if (name->string == "silu" || name->string == "swish") return Activation::silu;
  in.refuse(key, "gelu_new, gelu_pytorch_tanh, gelu, relu or silu", *name);
}

float read_epsilon(ConfigReader& in, std::string_view key, float otherwise) {
  const double epsilon = in.number(key, double{otherwise});
  if (!(static_cast<float>(epsilon) > 0) || epsilon > 1) {
    fail_model(in.file(), in.name(key), "a number above 0, at most 1", std::to_string(epsilon));
  }
  return static_cast<float>(epsilon);
}

void read_rotary(ConfigReader& in, uint32_t dims, ConfigFile& file, std::string_view base_key) {
  Config& c = file.config;
  const Json *parameters = in.value("rope_parameters"), *scaling = in.value("rope_scaling");
  const double base = rope_parameter(in, "rope_theta").value_or(in.number(base_key, 10000));
  if (!(base >= 1) || !std::isfinite(base)) {
    fail_model(in.file(), in.name(base_key), "a number from 1", std::to_string(base));
  }
  const bool newer = parameters != nullptr;
  const std::string key = newer ? "rope_parameters" : "rope_scaling";
  const Rope rope{base, ScalingReader(in, newer ? parameters : scaling, key).read()};
  c.positions = Positions::rotary;
  c.rotary_dims = dims;
  check_config(c, in.file());
  file.frequencies.assign(c.d_pad() / 2, 0.0f);
  for (uint32_t i = 0; i < dims / 2; ++i) {
    const double frequency = rope.frequency(i, dims);
    if (!(frequency * c.n_ctx <= kMaxAngle)) {
      fail_model(in.file(), key + ".factor", "one that keeps the angles of " + std::to_string(c.n_ctx) +
                 " positions below 2^21", (newer ? parameters : scaling)->find("factor")->describe());
    }
    file.frequencies[i] = static_cast<float>(frequency);
  }
}

uint32_t read_partial_dims(ConfigReader& in, const Config& c, std::string_view key, double otherwise) {
  const auto dims = in.size("rotary_dim");
  const double fraction = rope_parameter(in, "partial_rotary_factor").value_or(in.number(key, otherwise));
  if (!(fraction > 0 && fraction <= 1)) {
    fail_model(in.file(), in.name(key), "a number above 0, at most 1", std::to_string(fraction));
  }
  return dims ? *dims : static_cast<uint32_t>(fraction * c.d_head);
}

std::vector<TensorRule> gpt2_tensors(Move c_attn) {
  return {{"wte", "wte"},
          {"wpe", "wpe"},
          {"h.*.ln_1", "h.*.ln_1"},
          {"h.*.attn.c_attn", "h.*.attn.c_attn", Part::all, c_attn},
          {"h.*.attn.c_proj", "h.*.attn.c_proj"},
          {"h.*.ln_2", "h.*.ln_2"},
          {"h.*.mlp.c_fc", "h.*.mlp.c_fc"},
          {"h.*.mlp.c_proj", "h.*.mlp.c_proj"},
          {"ln_f", "ln_f"},
          {"lm_head", "lm_head"}};
}

std::vector<TensorRule> llama_tensors(Move norms) {
  return {{"wte", "embed_tokens"},
          {"h.*.ln_1", "layers.*.input_layernorm", Part::all, norms},
          {"h.*.attn.c_attn", "layers.*.self_attn.q_proj", Part::queries},
          {"h.*.attn.c_attn", "layers.*.self_attn.k_proj", Part::keys},
          {"h.*.attn.c_attn", "layers.*.self_attn.v_proj", Part::values},
          {"h.*.attn.c_proj", "layers.*.self_attn.o_proj"},
          {"h.*.ln_2", "layers.*.post_attention_layernorm", Part::all, norms},
          {"h.*.mlp.c_fc", "layers.*.mlp.gate_proj", Part::gates},
          {"h.*.mlp.c_fc", "layers.*.mlp.up_proj", Part::inputs},
          {"h.*.mlp.c_proj", "layers.*.mlp.down_proj"},
          {"ln_f", "norm", Part::all, norms},
          {"lm_head", "lm_head"}};
}

}  // namespace gpt2
