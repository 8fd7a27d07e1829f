// A model in another format (model_source.h) becomes a `.gpt2` file, streaming: no more than a panel of it is in memory
// at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/model/model_writer.h"

namespace gpt2 {

struct ConvertReport {
  Config config;
  uint64_t n_parameters = 0;
  std::vector<std::string> warnings;  // unknown keys, tensors that were left out
};

struct ConvertOptions {
  std::optional<DType> dtype;  // of the matrices; nothing: f32, or int8 where the source has them quantised
  std::vector<KeepRule> keep;
  uint32_t draft_vocab = 0;  // tokens that the head keeps, for a draft; 0: all
  std::string draft_text;    // where their frequencies come from
};

// The n tokens that a draft may propose: the end-of-text tokens, then the most frequent of `text`, ties and what the
// text does not have by the lowest id, which in BPE is about the frequency. Ascending. Throws Error (exit 4) if there
// are no n.
std::vector<uint32_t> frequent_tokens(const Tokenizer& tokenizer, std::span<const int32_t> eos_token_ids,
                                      std::string_view text, uint32_t n);

// Converts the model at `path`. Throws Error (exit 3) naming file and item, before anything is written to `sink` but
// for weights that no scale can hold.
ConvertReport convert_checkpoint(const std::string& path, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress);

}  // namespace gpt2
