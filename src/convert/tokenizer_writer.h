// A model's tokenizer as the files of a Hugging Face directory: the way back from tokenizer_files.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/model/model.h"

namespace gpt2 {

// Returns names and contents: tokenizer.model where merges follow from scores (SentencePiece), otherwise
// tokenizer.json; and tokenizer_config.json, which has the template of conversations, too. Throws Error (exit 3) naming
// the rule that they cannot say.
std::vector<std::pair<std::string, std::string>> tokenizer_files(const Model& model);

}  // namespace gpt2
