#include "src/convert/gguf_formats.h"

#include <algorithm>

namespace gpt2 {
namespace {

constexpr GgufKeyPair kGpt2Keys[] = {{"context_length", "n_positions"},
                                     {"embedding_length", "n_embd"},
                                     {"block_count", "n_layer"},
                                     {"feed_forward_length", "n_inner"},
                                     {"attention.head_count", "n_head"},
                                     {"attention.layer_norm_epsilon", "layer_norm_epsilon"}};
constexpr GgufKeyPair kNormKeys[] = {{"context_length", "max_position_embeddings"},
                                     {"embedding_length", "hidden_size"},
                                     {"block_count", "num_hidden_layers"},
                                     {"feed_forward_length", "intermediate_size"},
                                     {"attention.head_count", "num_attention_heads"},
                                     {"attention.layer_norm_epsilon", "layer_norm_eps"}};
constexpr GgufKeyPair kRmsKeys[] = {{"context_length", "max_position_embeddings"},
                                    {"embedding_length", "hidden_size"},
                                    {"block_count", "num_hidden_layers"},
                                    {"feed_forward_length", "intermediate_size"},
                                    {"attention.head_count", "num_attention_heads"},
                                    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"}};
constexpr GgufKeyPair kOptionalKeys[] = {{"attention.head_count_kv", "num_key_value_heads"},
                                         {"attention.key_length", "head_dim"},
                                         {"rope.freq_base", "rope_theta"},
                                         {"rope.dimension_count", "rotary_dim"}};

constexpr GgufFormat kFormats[] = {
    {"gpt2", "gpt2", kGpt2Keys, false, false, false, true, Move::none, GgufBiases::all},
    {"starcoder", "gpt_bigcode", kGpt2Keys, false, false, false, true, Move::none, GgufBiases::all},
    {"llama", "llama", kRmsKeys, true, true, false, false, Move::unpair, GgufBiases::optional},
    {"qwen2", "qwen2", kRmsKeys, true, true, false, false, Move::none, GgufBiases::attention_inputs},
    {"gptneox", "gpt_neox", kNormKeys, false, true, true, true, Move::none, GgufBiases::all},
    {"phi2", "phi", kNormKeys, false, true, true, false, Move::none, GgufBiases::all},
    {"stablelm", "stablelm", kNormKeys, true, true, true, false, Move::none, GgufBiases::optional},
    {"gemma", "gemma", kRmsKeys, true, true, false, false, Move::none, GgufBiases::optional}};

const GgufFormat* find(std::string_view GgufFormat::*member, std::string_view name) {
  const auto found = std::find_if(std::begin(kFormats), std::end(kFormats),
                                  [&](const GgufFormat& format) { return format.*member == name; });
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace

std::span<const GgufKeyPair> gguf_optional_keys() { return kOptionalKeys; }

const GgufFormat* find_gguf_format(std::string_view name) { return find(&GgufFormat::name, name); }

const GgufFormat* gguf_format_of(std::string_view model_type) {
  return find(&GgufFormat::model_type, model_type == "mistral" ? "llama" : model_type);  // Llama with a window
}

std::string gguf_architecture_names() {
  std::string names;
  for (const GgufFormat& format : kFormats) names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

Architecture gguf_rules(const GgufFormat& format, bool fused) {
  Architecture names;
  names.model_type = format.name;
  names.complete = true;
  names.buffers = {"rope_freqs.weight"};
  names.tensors = {{"wte", "token_embd"}, {"wpe", "position_embd"}, {"h.*.ln_1", "blk.*.attn_norm"}};
  if (fused) {
    names.tensors.push_back({"h.*.attn.c_attn", "blk.*.attn_qkv"});
  } else {
    names.tensors.push_back({"h.*.attn.c_attn", "blk.*.attn_q", Part::queries, format.rotation});
    names.tensors.push_back({"h.*.attn.c_attn", "blk.*.attn_k", Part::keys, format.rotation});
    names.tensors.push_back({"h.*.attn.c_attn", "blk.*.attn_v", Part::values});
  }
  names.tensors.push_back({"h.*.attn.c_proj", "blk.*.attn_output"});
  names.tensors.push_back({"h.*.ln_2", "blk.*.ffn_norm"});
  if (format.gated) names.tensors.push_back({"h.*.mlp.c_fc", "blk.*.ffn_gate", Part::gates});
  names.tensors.push_back({"h.*.mlp.c_fc", "blk.*.ffn_up", format.gated ? Part::inputs : Part::all});
  names.tensors.push_back({"h.*.mlp.c_proj", "blk.*.ffn_down"});
  names.tensors.push_back({"ln_f", "output_norm"});
  names.tensors.push_back({"lm_head", "output"});
  return names;
}

}  // namespace gpt2
