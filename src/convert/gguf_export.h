// A model becomes a GGUF file. Values are kept to the bit: f32 and bf16 as they are, int4 as Q4_0, int8g32 as
// Q8_0, int8 too (each group of 64 as two blocks with its scale), so that the file reads back as the same model.
#pragma once

#include "src/io/byte_sink.h"
#include "src/model/model.h"
#include "src/model/model_writer.h"

namespace gpt2 {

// Writes the whole file. Throws Error (exit 3), before anything is written, that names the key of what no GGUF file can
// say: an architecture that is not there, an activation that its architecture does not have, a window, scores that are
// scaled otherwise, a tokenizer's rule.
void write_gguf(const Model& model, ByteSink& sink, const Progress& progress);

}  // namespace gpt2
