// A vocabulary of SentencePiece's BPE as its models (and GGUF's "llama" tokenizers) have it: pieces with scores and
// types, and no merges. What is merged follows from the scores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// The numbers are those of the formats.
enum class PieceType : uint8_t { normal = 1, unknown, control, user_defined, unused, byte };

struct Piece {
  std::string text;  // with U+2581 for a space; a byte's is "<0x0A>"
  float score = 0;   // of a normal or unused one: higher is merged first
  PieceType type = PieceType::normal;
};

// Returns the text of the unused piece that stands in files for an id without a token.
std::string padding_text(size_t id);

// The longest text of a piece that may be merged. What is trained has 16 characters, or some dozens of spaces.
inline constexpr size_t kMaxPieceBytes = 256;

// Returns the vocabulary, whose ids are the places in `pieces`, with rules that say `prefix` and the rest as
// SentencePiece does it:
// - two pieces side by side whose texts together are a normal or unused piece are merged into it, that of the highest
//   score first and of those the leftmost. Each way to cut a piece in two pieces is a merge, and its rank is the place
//   of the piece's score among all scores;
// - user-defined pieces are found before that, and never merged;
// - an unused piece falls into its parts again; one of a single character counts as no piece, unless it was merged;
// - control and unknown pieces are special added tokens: no text becomes them unless it is asked for. One of a single
//   character can be merged as an unused one;
// - an unused piece with the padding_text() of its id is none: no token has the id;
// - where there are byte pieces they stand for characters without a piece, otherwise the unknown piece does, one for
//   several of them that follow each other.
// A pair with a character that has no piece of its own is not merged: no trainer writes such a model. `file` names it
// in messages. Throws Error (exit 3) naming the piece: an empty text, one that is there twice or too long, a score that
// is no number, a type that is none, byte pieces that are not all 256.
Vocabulary vocabulary_of_pieces(const std::vector<Piece>& pieces, PrefixSpace prefix, const std::string& file);

}  // namespace gpt2
