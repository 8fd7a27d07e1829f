// SentencePiece's models (tokenizer.model): a protocol buffer of pieces, scores and types, and of how a text is brought
// into its form first. BPE models whose normalizer changes nothing but spaces are read, what else one asks for is
// refused by its name.
#pragma once

#include <string>
#include <string_view>

#include "src/text/pieces.h"

namespace gpt2 {

// What a model says beside its pieces.
struct SentencePieceModel {
  std::vector<Piece> pieces;  // by id
  bool add_dummy_prefix = true;
  std::string bos_piece = "<s>";
};

// Whether the bytes begin as a model does. (Other programs' tokenizer.model are texts.)
bool looks_like_sentencepiece(std::string_view bytes);

// Throws Error (exit 3) naming `file` and the byte or the field.
SentencePieceModel parse_sentencepiece(std::string_view bytes, std::string_view file);

}  // namespace gpt2
