// The tokenizer of a GGUF file.
#pragma once

#include "src/io/gguf.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// Reads the keys under "tokenizer.ggml." of a byte-level BPE: tokens in the byte alphabet, their types (control and
// unknown ones are special, user-defined ones always matched, unused ones have no text), merges, what stands before a
// text, and how texts are cut, which a name says. Of a token that is there twice the first counts. Throws Error (exit
// 3) that names the file and the key.
Vocabulary read_gguf_vocabulary(const GgufFile& gguf);

}  // namespace gpt2
