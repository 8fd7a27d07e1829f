// Byte-level BPE over tables that are used where they lie (in a mapped file): opening one parses nothing that grows
// with the vocabulary. The tables are not trusted: every offset, id and probe is bounded where it is used, and an Error
// (exit 3, with the file's name) ends what meets a bad one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/added_tokens.h"
#include "src/text/split.h"

namespace gpt2 {

// One merge rule: the pair (left, right) becomes `result`; lower ranks first. An empty slot has left = kNoToken.
struct MergeSlot {
  uint32_t left, right, result, rank;
};
inline constexpr uint32_t kNoToken = 0xFFFFFFFFu;
// Where the search for a pair starts in a table of n_slots (a power of two): the upper half of (left * 2^32 + right)
// times 2^64 / golden ratio. Part of the file format.
size_t merge_slot(uint32_t left, uint32_t right, size_t n_slots) noexcept;
// A search that meets no empty slot within so many is a damaged table: one that is at most half full has runs of some
// dozens.
inline constexpr size_t kMaxProbes = 1024;
// The longest text of one token. What a vocabulary learns is some hundred bytes at most; a file that claims more would
// make gigabytes of text from a few tokens.
inline constexpr size_t kMaxTokenBytes = size_t{1} << 16;

// What a tokenizer does beside merging. Each field that is not its default is a string in the file's metadata
// (src/model/schema.h).
struct TokenizerRules {
  bool prefix_space = false;         // a stretch of text that does not begin with a space gets one
  std::vector<TokenId> before_text;  // ids that stand before every text
  SplitRule split = SplitRule::gpt2;  // where a text is cut before its pieces are merged
  bool nfc = false;                  // a text is brought into Unicode's normal form C first
  bool ignore_merges = false;        // a piece that is a token becomes it, whatever the merges would make

  bool operator==(const TokenizerRules&) const = default;
};

// The tables as they are stored, all little-endian.
struct TokenizerTables {
  std::span<const char> bytes;              // all tokens' bytes, in id order
  // [n_tokens + 1] into bytes, non-decreasing; an id without text has length 0
  std::span<const uint32_t> offsets;
  std::span<const MergeSlot> merges;        // open addressing, linear probing, power-of-two size, never full
  std::span<const uint32_t> byte_tokens;    // [256] id of each single byte, kNoToken if the vocabulary lacks it
  std::span<const uint32_t> special_tokens; // ids of the added tokens, longest text first
  std::span<const uint32_t> added_flags = {};  // kAdded... flags of each; empty: all are special and nothing else
  TokenizerRules rules = {};
  std::span<const uint32_t> texts =
      {};  // ids by their bytes, where the rules ask: slots as those of merges, kNoToken if empty
};
// Where the search for a text starts in a table of n_slots (a power of two). Part of the file format.
size_t text_slot(std::string_view text, size_t n_slots);

class Tokenizer {
 public:
  // Keeps views of the tables. Throws Error (exit 3) on sizes that do not fit together. `file` names them in messages.
  Tokenizer(const TokenizerTables& tables, std::string_view file);

  size_t n_tokens() const noexcept { return tables_.offsets.size() - 1; }

  // Appends what stands before a text, then the ids of `text` (any bytes), to `out`. O(n log n). Throws Error (exit 4,
  // with the byte's offset) only if the vocabulary lacks a byte's token.
  void encode(std::string_view text, Specials specials, std::vector<TokenId>& out) const;
  std::vector<TokenId> encode(std::string_view text, Specials specials = Specials::as_text) const;

  // The bytes of a token (not always whole UTF-8); empty for an id without text, below 0 or from n_tokens on. Throws
  // Error (exit 3) where its offsets do not ascend, leave the bytes or are further apart than kMaxTokenBytes.
  std::string_view token_bytes(TokenId id) const;
  std::string decode(std::span<const TokenId> ids) const;

  bool is_special(TokenId id) const noexcept;
  // XXH3 (64 bits, seed 0) over the tables that give ids their texts: two models with equal hashes share their ids.
  uint64_t hash() const;

 private:
  class Merger;
  void take_added_tokens(std::string_view file);
  // The id of the token of the vocabulary with these bytes.
  std::optional<TokenId> find_text(std::string_view text) const;
  // Appends the ids of a piece's bytes.
  void push_bytes(std::string_view piece, size_t offset, std::vector<TokenId>& out) const;
  // Appends the ids of text without added tokens; `offset` is where it stands in the prompt, for messages.
  void encode_text(std::string_view text, size_t offset, Merger& merger, std::vector<TokenId>& out) const;

  TokenizerTables tables_;
  std::string file_;
  AddedTokens plain_, normalized_;  // without and with kAddedNormalized: two passes
};

// The first id whose bytes differ between two tokenizers, or the smaller number of tokens if one is the other's
// beginning; nothing if they give every text the same ids.
std::optional<size_t> first_difference(const Tokenizer& a, const Tokenizer& b);

}  // namespace gpt2
