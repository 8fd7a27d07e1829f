// The tokenizer of a GGUF file.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/gguf.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// Reads the keys under "tokenizer.ggml." of SentencePiece's BPE ("llama": pieces with scores and types; a space before
// the text and a token that begins it, unless keys say no) or of a byte-level BPE ("gpt2"): tokens in the byte
// alphabet, their types (control and unknown ones are special, user-defined ones always matched, unused ones have no
// text), merges, what stands before a text, and how texts are cut, which a name says. Of a token that is there twice
// the first counts. Throws Error (exit 3) that names the file and the key.
Vocabulary read_gguf_vocabulary(const GgufFile& gguf);

// Returns the name, for tokenizer.ggml.pre, of these rules; nothing if none has them.
std::optional<std::string_view> gguf_pre_of(const TokenizerRules& rules);

// Returns tokenizer.chat_template, empty where there is none; one that is too long is left out with a warning.
std::string read_gguf_chat_template(const GgufFile& gguf, std::vector<std::string>& warnings);

}  // namespace gpt2
