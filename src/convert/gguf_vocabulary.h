// A model's tokenizer as the keys of a GGUF file: the way back from gguf_tokenizer.h.
#pragma once

#include "src/io/gguf_writer.h"
#include "src/model/model.h"

namespace gpt2 {

// Adds the keys under "tokenizer.". Tokens are as many as the embeddings have rows: ids without a text are unused ones,
// "[PAD7]". Throws Error (exit 3) naming what of the tokenizer GGUF has no key for.
void write_gguf_vocabulary(const Model& model, GgufWriter& out);

}  // namespace gpt2
