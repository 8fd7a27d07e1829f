// A model becomes a Hugging Face directory: config.json, model.safetensors and the tokenizer's files. f32 and bf16
// matrices are as they were; int8, int8g32 and int4 become the f32 values that they stand for.
#pragma once

#include "src/io/output_directory.h"
#include "src/model/model.h"
#include "src/model/model_writer.h"

namespace gpt2 {

// Writes all files; the caller commits the directory. Throws Error (exit 3) naming the key of what the files of the
// model's architecture cannot say. What cannot come back: OPT's two first positions, which no text meets, are zeros;
// Gemma's norms, w of a rounded 1 + w, may differ in bits below that; a bias that is all zeros may be left out.
void write_hf(const Model& model, OutputDirectory& directory, const Progress& progress);

}  // namespace gpt2
