// Builds the tokenizer's tables from a vocabulary in plain data; where that data came from (vocab.json, tokenizer.json)
// is the caller's business.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/text/token_roles.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

struct AddedToken {
  std::string text;  // the bytes themselves, not in the byte alphabet
  uint32_t id = 0;
  bool special = true;
  bool lstrip = false, rstrip = false, single_word = false, normalized = false;  // added_tokens.h says what they do

  uint32_t flags() const noexcept;
};

// Where symbols are bytes, token and merge strings are in GPT-2's byte alphabet (each byte one printable character,
// bytes_to_unicode of the original release), as vocab.json and merges.txt have them. A token with other characters
// cannot be reached from text: it stands for itself when it is decoded. Where symbols are characters, the strings are
// SentencePiece's, with U+2581 for a space.
struct Vocabulary {
  std::vector<std::pair<std::string, uint32_t>> tokens;  // text, id; any order
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  std::vector<AddedToken> added;
  // Names for messages: which file the tokens and the merges came from.
  std::string tokens_file, merges_file;
  TokenizerRules rules = {};
  std::vector<std::string> warnings = {};
  std::vector<uint32_t> merge_ranks = {};  // of each merge; empty: each has a rank of its own
  TokenRoles roles = {};                   // that are named for what they do, whatever their texts
  bool byte_fallback = false;              // tokens "<0x00>" to "<0xFF>" are bytes; where symbols are characters
};

// Owns what TokenizerTables views.
class TokenizerData {
 public:
  TokenizerTables tables() const;
  std::vector<char> bytes;
  std::vector<uint32_t> offsets;
  std::vector<MergeSlot> merges;
  std::vector<uint32_t> byte_tokens;
  std::vector<uint32_t> special_tokens;
  std::vector<uint32_t> added_flags;
  std::vector<uint32_t> texts;
  TokenizerRules rules;
  TokenRoles roles;  // the vocabulary's, of ids that there are
  std::vector<std::string> warnings;  // the vocabulary's, and what was left out
};

// Returns the tables. `n_vocab` bounds the ids (rows of wte; more rows than tokens are a padded vocabulary): tokens
// from it on are left out with a warning, and the merges that need them. Throws Error (exit 3) naming file and item: id
// given twice, empty token, merge of an unknown token or with an unknown result, merge given twice, added token that
// contradicts the vocabulary or is empty.
TokenizerData build_tokenizer(const Vocabulary& vocabulary, uint64_t n_vocab);

// Returns the text of the token of a byte where symbols are characters: "<0x0A>".
std::string byte_token_text(unsigned char byte);

// Returns a token's bytes in the byte alphabet, for writers of vocab.json.
std::string to_byte_alphabet(std::string_view bytes);

}  // namespace gpt2
