// Every tensor of a `.gpt2` file, one line each: its name, its logical shape and how it is laid out. Reader, writer and
// `inspect` all walk this table. Names are those of the published checkpoints; a matrix carries its bias in its panels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/layout.h"
#include "src/model/config.h"
#include "src/text/token_roles.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// How a tensor's bytes are arranged.
enum class Arrangement : uint8_t {
  vector,      // f32 [rows], padded to 64 bytes
  rows,        // f32 [rows, cols] row-major
  panels,      // packed panels of 16 outputs, bias inside: [rows outputs, cols inputs]
  gated,       // as panels, 8 gates and their 8 values in each: outputs are the gates and then the values
  // As panels, outputs by heads of keys: the q's of a group, its k, its v, each padded to d_pad (row_map.h).
  qkv,
  qkv_scaled,  // as qkv, with the attention scale folded into q (a power of two: exact)
  bytes,       // tokenizer tables
};
std::string_view arrangement_name(Arrangement arrangement);

struct TensorSpec {
  std::string name;
  std::string bias;         // the checkpoint's bias that goes into the panels; empty: none
  Arrangement arrangement;  // qkv also stands for qkv_scaled
  uint64_t rows = 0, cols = 0;  // logical: outputs and inputs; a vector has cols = 1
  uint32_t layer = 0;
};

// Returns the tensors in file order, which is the order in which a step reads them.
std::vector<TensorSpec> model_schema(const Config& config);

// Returns the packed outputs: rows after padding heads and panels.
uint64_t packed_rows(const TensorSpec& spec, const Config& config);
// Returns the bytes in the file, a multiple of 64.
uint64_t stored_bytes(const TensorSpec& spec, DType dtype, const Config& config);

std::string_view dtype_name(DType dtype);  // "f32", "bf16", "int8", "int4", "int8g32"
std::optional<DType> dtype_from_name(std::string_view name);

// Returns whether the bytes are panels of 16 outputs.
inline bool is_packed(Arrangement a) {
  return a != Arrangement::vector && a != Arrangement::rows && a != Arrangement::bytes;
}

// Scales of groups are f16: a matrix whose largest scale lies outside of this is not stored with scales. Below, its
// scales have lost three bits or more; above, they come near f16's end. The largest code is what a group's largest
// weight is divided by.
inline constexpr float kSmallestScale = 0x1p-17f, kLargestScale = 0x1p15f;
constexpr float largest_code(DType dtype) { return dtype == DType::int4 ? 7.0f : 127.0f; }

// Keys of the file's metadata. A file has the lowest version that can say what it means, so that a plain GPT-2 keeps
// its bytes and opens in every program: 1 says nothing of the tokenizer beside its tables; 2 may have "tokenizer." keys
// and the tables kAddedFlags and kTokenTexts, and "block." keys, of which only those are there that differ from
// GPT-2's. A program refuses versions that it does not know, and in version 2 keys of these or values that it does not
// know: a new rule is a new key, not a new version.
inline constexpr std::string_view kFormatKey = "gpt2.format", kFormatName = "gpt2 model";
inline constexpr std::string_view kVersionKey = "gpt2.version", kPlainVersion = "1", kRulesVersion = "2";
inline constexpr std::string_view kBlockPrefix = "block.";
inline constexpr std::string_view kHeaderHashKey = "gpt2.header_xxh3";
inline constexpr std::string_view kSourceKey = "gpt2.source";
inline constexpr std::string_view kTokenizerHashKey = "gpt2.tokenizer_xxh3";
// The checkpoint's template of conversations, in Jinja; only where it has one. It says nothing of what is computed.
inline constexpr std::string_view kChatTemplateKey = "chat_template";
// "role.pad" and so on (src/text/token_roles.h): the id of the token that has a role, where its text does not say so.
inline constexpr std::string_view kRolePrefix = "role.";
// Radians a position, of each pair; 0: does not turn.
inline constexpr std::string_view kFrequencies = "rotary.frequencies";
inline constexpr std::string_view kTensorPrefix = "tensor.";
inline constexpr uint64_t kDataAlignment = 4096;

// A draft's head of n_draft_vocab rows, and the ids of their tokens: u32, ascending. wte stays whole: any token may be
// read.
inline constexpr std::string_view kDraftHead = "draft_head.weight", kDraftIds = "draft_head.ids";

// The tokenizer's tables, in the order of TokenizerTables.
inline constexpr std::string_view kTokenizerTensors[] = {"tokenizer.bytes", "tokenizer.offsets", "tokenizer.merges",
                                                         "tokenizer.byte_tokens", "tokenizer.special_tokens"};
// u32 of flags (src/text/added_tokens.h) for each entry of tokenizer.special_tokens; only where they say something.
inline constexpr std::string_view kAddedFlags = "tokenizer.added_flags";
// u32 slots of ids by their texts (TokenizerTables::texts); only where the rules ask for them.
inline constexpr std::string_view kTokenTexts = "tokenizer.texts";
inline constexpr std::string_view kTokenizerPrefix = "tokenizer.";

// Return the configuration as metadata strings, and back. parse: `value(key)` returns nullptr for a missing key; throws
// Error (exit 3) naming `file` and the key.
std::vector<std::pair<std::string, std::string>> config_metadata(const Config& config);
class MetadataLookup {
 public:
  virtual ~MetadataLookup() = default;
  virtual const std::string* value(std::string_view key) const = 0;
};
Config config_from_metadata(const MetadataLookup& metadata, std::string_view file);
// Returns the keys of a block that is not GPT-2's; none for one that is.
std::vector<std::pair<std::string, std::string>> block_metadata(const Config& config);
bool is_block_key(std::string_view key);  // one of those that this program knows

// Return the tokenizer's rules as metadata strings, and back: only those that are not their defaults are written, and
// each may be missing.
std::vector<std::pair<std::string, std::string>> rules_metadata(const TokenizerRules& rules);
TokenizerRules rules_from_metadata(const MetadataLookup& metadata, std::string_view file);
bool is_rules_key(std::string_view key);  // one of those that this program knows
std::vector<std::pair<std::string, std::string>> roles_metadata(const TokenRoles& roles);
// Throws Error (exit 3) for a value that is no id below `n_tokens`.
TokenRoles roles_from_metadata(const MetadataLookup& metadata, size_t n_tokens, std::string_view file);

}  // namespace gpt2
