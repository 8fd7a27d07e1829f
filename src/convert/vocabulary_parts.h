// A model's tokenizer as vocabularies are written: tokens in their spelling, merges by rank, pieces with scores. The
// way back from the tables (tokenizer_builder.h), whose contents are not trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/model/model.h"
#include "src/text/pieces.h"

namespace gpt2 {

struct VocabularyParts {
  struct Token {
    std::string text;  // in the byte alphabet, or with U+2581 for spaces; of an added token itself; empty: none
    bool is_added = false;
    bool is_byte = false;  // stands for a byte where symbols are characters
    uint32_t flags = 0;    // kAdded..., of an added one
  };
  std::vector<Token> tokens;  // by id
  std::vector<MergeSlot> merges;  // by rank

  // "left right" of a merge.
  std::string merge_text(const MergeSlot& merge) const;
};

// Returns the parts. Throws Error (exit 3) naming the model for a merge that is none of its tokens', and for two tokens
// that would be written alike.
VocabularyParts vocabulary_parts(const Model& model);

// Returns the pieces whose scores give every text the model's ids. Throws Error (exit 3) naming what of its tokenizer
// no scores can say.
std::vector<Piece> pieces_of(const Model& model);

}  // namespace gpt2
