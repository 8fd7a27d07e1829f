// The tokenizer of a checkpoint directory: tokenizer.json, else vocab.json + merges.txt (and added_tokens.json).
#pragma once

#include <string>

#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// Reads DIR/vocab.json + DIR/merges.txt if both are there, else DIR/tokenizer.json (merges as "a b" strings or as ["a", "b"]
// pairs; added_tokens; model BPE with the ByteLevel pre-tokenizer, anything else is refused: no pattern from a file is ever
// run). Added tokens come from added_tokens of tokenizer.json when it is there, else from added_tokens.json,
// and <|endoftext|> is special wherever the vocabulary has it. Throws Error (exit 3) that names file and item.
Vocabulary read_vocabulary(const std::string& directory);

}  // namespace gpt2
