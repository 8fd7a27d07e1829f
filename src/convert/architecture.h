// What conversion knows of an architecture: its name, its keys and its tensors. Each of the family is one small file
// (arch_*.cpp) and one line in the list of architecture.cpp. GPT-2's own directories are read by config_json.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/convert/config_json.h"
#include "src/convert/config_reader.h"
#include "src/model/config.h"

namespace gpt2 {

// Which of our logical rows a tensor of the checkpoint holds: all, or a part of c_attn or of a gated c_fc.
enum class Part : uint8_t { all, queries, keys, values, gates, inputs };

// How its rows become ours.
enum class Move : uint8_t {
  none,
  by_group,  // c_attn stands by heads of keys, each with its q's, k and v: rows move to all q's, all k's, all v's
  unpair,    // pairs (2i, 2i + 1) turn: rows move so that pairs (i, i + rotary_dims / 2) do
  skip_two,  // two rows before position 0 are left out
  add_one,   // the checkpoint has weight - 1
};

// "h.*.attn.c_attn" <- "layers.*.self_attn.q_proj": weight and, where the checkpoint has one, bias. The first rule for
// a part of which the tensor exists counts.
struct TensorRule {
  std::string_view ours, theirs;
  Part part = Part::all;
  Move move = Move::none;
};

struct Architecture {
  std::string_view model_type;  // config.json's, kept in the file for people
  std::string_view prefix;      // that some checkpoints put before every name
  // Fills what the keys say, defaults where one is absent; refuses by name a value that changes the arithmetic and is
  // not supported.
  void (*read_config)(ConfigReader& in, ConfigFile& file);
  std::vector<TensorRule> tensors;
  std::vector<std::string_view> buffers;  // ends of names of tensors that are no parameters
  bool complete = false;                  // a tensor that is neither is an error
};

// The architecture of this model_type; nullptr for one that is not here.
const Architecture* find_architecture(std::string_view model_type);
// "gpt_bigcode, gptj, ...": all of them, for messages.
std::string architecture_names();

// The files' parts.
extern const Architecture kGptBigCode, kGptJ, kGptNeoX, kGptNeo, kOpt, kPhi;
extern const Architecture kStableLm, kLlama, kMistral, kQwen2, kGemma;

// What most files share: the sizes under the names of Llama's keys; heads of keys, a width of heads of their own.
void read_llama_sizes(ConfigReader& in, Config& c);
// Reads what Llama, Mistral and Qwen2 have in common: those sizes, the RMS norm, the gated MLP, a tied head or its own.
void read_llama_block(ConfigReader& in, Config& c);
// The activation under `key`; `otherwise` where it is absent.
Activation read_activation(ConfigReader& in, std::string_view key, Activation otherwise);
float read_epsilon(ConfigReader& in, std::string_view key, float otherwise);
// Makes positions rotary: base and scaling from rope_parameters or the older keys, and the table of frequencies of the
// first `dims` values of a head. Scalings that depend on a text's length are refused: they would break what was cached.
void read_rotary(ConfigReader& in, uint32_t dims, ConfigFile& file, std::string_view base_key = "rope_theta");
// rotary_dim, else floor(d_head * fraction) with the fraction from rope_parameters, `key` or `otherwise`.
uint32_t read_partial_dims(ConfigReader& in, const Config& c, std::string_view key, double otherwise);
// Return sqrt(n_embd) rounded to the type of Gemma's training ("bfloat16", "float16", else not at all), and the type
// that gives a scale; empty if none does.
float gemma_embedding_scale(uint32_t n_embd, std::string_view dtype);
std::string_view gemma_dtype(uint32_t n_embd, float embedding_scale);
// The rules of GPT-2's names, which are ours; of Llama's.
std::vector<TensorRule> gpt2_tensors(Move c_attn = Move::none);
std::vector<TensorRule> llama_tensors(Move norms = Move::none);

}  // namespace gpt2
