// GGUF's architectures as both directions see them: their keys, the names of their tensors, and what is fixed in each.
// Names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/convert/architecture.h"

namespace gpt2 {

// A key behind the architecture's name, and what config.json calls it.
struct GgufKeyPair {
  std::string_view theirs, ours;
};
// Keys that some files lack.
std::span<const GgufKeyPair> gguf_optional_keys();

// Which biases a file must have; others may be there.
enum class GgufBiases : uint8_t { optional, attention_inputs, all };

struct GgufFormat {
  std::string_view name;        // general.architecture
  std::string_view model_type;  // config.json's
  std::span<const GgufKeyPair> keys;
  bool gated = false;
  bool rotary = true;
  bool partial = false;  // rope.dimension_count may be less than a head
  bool fused = false;    // q, k and v are written as one matrix; a file may have them either way
  Move rotation = Move::none;
  GgufBiases biases = GgufBiases::optional;
};

// Return the format with general.architecture's name, and the one in which an architecture of ours is written; nullptr
// if there is none.
const GgufFormat* find_gguf_format(std::string_view name);
const GgufFormat* gguf_format_of(std::string_view model_type);
// "gpt2, starcoder, ...": all architectures that are read.
std::string gguf_architecture_names();

// Returns the rules of a file's tensors.
Architecture gguf_rules(const GgufFormat& format, bool fused);

}  // namespace gpt2
