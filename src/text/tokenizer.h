// Byte-level and SentencePiece BPE over tables that are used where they lie (in a mapped file): opening one parses
// nothing that grows with the vocabulary. The tables are not trusted: every offset, id and probe is bounded where it is
// used, and an Error
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
// Returns where the search for a pair starts in a table of n_slots (a power of two): the upper half of (left * 2^32 +
// right) times 2^64 / golden ratio. Part of the file format.
size_t merge_slot(uint32_t left, uint32_t right, size_t n_slots) noexcept;
// A search that meets no empty slot within so many is a damaged table: one that is at most half full has runs of some
// dozens.
inline constexpr size_t kMaxProbes = 1024;
// The longest text of one token. What a vocabulary learns is some hundred bytes at most; a file that claims more would
// make gigabytes of text from a few tokens.
inline constexpr size_t kMaxTokenBytes = size_t{1} << 16;

// What a text begins as. The names are part of the file format.
//   bytes       byte-level BPE: a text is cut into pieces, and a piece is its bytes
//   characters  SentencePiece: a stretch of text is one piece of characters; those without a token are their bytes'
//               tokens or the unknown one. U+2581 is a space in texts and in tokens
enum class Symbols : uint8_t { bytes, characters };
std::string_view name_of(Symbols symbols);

// Where a text gets a space before it. A stretch is what stands between added tokens. The names are part of the format.
//   none
//   unspaced  ("true") each stretch that does not begin with a space: ByteLevel's add_prefix_space, Metaspace's
//   "always" first     the text, if it begins with a stretch that does not begin with a space: Metaspace's "first"
//   text      the text, if it begins with a stretch: SentencePiece's add_dummy_prefix
//   stretch   each stretch: the normalizer Prepend, and SentencePiece behind each added token
enum class PrefixSpace : uint8_t { none, unspaced, first, text, stretch };
std::string_view name_of(PrefixSpace prefix);

// What a tokenizer does beside merging. Each field that is not its default is a string in the file's metadata
// (src/model/schema.h).
struct TokenizerRules {
  PrefixSpace prefix_space = PrefixSpace::none;
  std::vector<TokenId> before_text;  // ids that stand before every text
  SplitRule split = SplitRule::gpt2;  // where a text is cut before its pieces are merged
  bool nfc = false;                  // a text is brought into Unicode's normal form C first
  bool ignore_merges = false;        // a piece that is a token becomes it, whatever the merges would make
  Symbols symbols = Symbols::bytes;
  TokenId unknown = -1;              // stands for a character that has neither a token nor its bytes'; -1: none
  bool fuse_unknown = false;         // several of them one behind the other become one
  std::vector<TokenId> unused;       // ascending; merges make them on their way, then they fall apart again

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
// Returns where the search for a text starts in a table of n_slots (a power of two). Part of the file format.
size_t text_slot(std::string_view text, size_t n_slots);

class Merger;

class Tokenizer {
 public:
  // Keeps views of the tables. Throws Error (exit 3) where sizes do not fit together; `file` names them in messages.
  Tokenizer(const TokenizerTables& tables, std::string_view file);

  size_t n_tokens() const noexcept { return tables_.offsets.size() - 1; }

  // Appends what stands before a text, then the ids of `text` (any bytes), to `out`. O(n log n). Throws Error (exit 4,
  // with the byte's offset) only if the vocabulary lacks a byte's token.
  void encode(std::string_view text, Specials specials, std::vector<TokenId>& out) const;
  std::vector<TokenId> encode(std::string_view text, Specials specials = Specials::as_text) const;
  // Appends the ids of a text that goes on behind other tokens: nothing is put before it, and no space.
  void encode_behind(std::string_view text, Specials specials, std::vector<TokenId>& out) const;

  // Returns the bytes of a token (not always whole UTF-8), with the space that may be a prefix; none for an id without
  // text, below 0 or from n_tokens on. Throws Error (exit 3) where its offsets do not ascend, leave the bytes or are
  // further apart than kMaxTokenBytes.
  std::string_view token_bytes(TokenId id) const;
  // Returns the text of the ids, without what `encode` puts before every text.
  std::string decode(std::span<const TokenId> ids) const;

  // Returns the token with this text: an added one, else, where symbols are characters, any. Looks at all of them.
  std::optional<TokenId> find_token(std::string_view text) const;
  // Returns whether the token has this text; where symbols are characters U+2581 may be a space.
  bool has_text(TokenId id, std::string_view text) const;

  bool is_special(TokenId id) const noexcept;
  // Returns whether the token ends a stretch of text: it is found before a text's normal form and prefix are made.
  bool ends_stretch(TokenId id) const noexcept;
  // Returns whether the token is a byte that stands for itself, not for a character.
  bool is_fallback_byte(TokenId id) const noexcept;
  const TokenizerRules& rules() const noexcept { return tables_.rules; }
  // Returns XXH3 (64 bits, seed 0) over the tables that give ids their texts, and the rules where they are not GPT-2's:
  // two models with equal hashes give every text the same ids.
  uint64_t hash() const;

 private:
  void take_added_tokens(std::string_view file);
  // Returns the id of the token of the vocabulary with these bytes.
  std::optional<TokenId> find_text(std::string_view text) const;
  uint32_t added_flags(TokenId id) const noexcept;  // 0xFFFFFFFF: none is added
  // Each appends ids that a piece's merging begins with.
  void push_bytes(std::string_view piece, size_t offset, std::vector<TokenId>& out) const;
  void push_characters(std::string_view piece, size_t offset, std::vector<TokenId>& out) const;
  bool push_fallback(std::string_view character, std::vector<TokenId>& out) const;
  enum class Stretch { first, later, goes_on };  // of a text; goes_on: behind other tokens, without a space before it
  // Returns the stretch in the form in which its tokens are looked for, in `buffer` if that is another one.
  std::string_view normal_form(std::string_view text, Stretch stretch, std::string& buffer) const;
  // Appends the ids of a text; `at_start`: it begins a text, so that it may get a space before it.
  void encode_stretches(std::string_view text, Specials specials, bool at_start, std::vector<TokenId>& out) const;
  // Appends the ids of text without added tokens; `offset` is where it stands in the prompt, for messages.
  void encode_text(std::string_view text, size_t offset, Merger& merger, std::vector<TokenId>& out) const;

  TokenizerTables tables_;
  std::string file_;
  AddedTokens plain_, normalized_;  // without and with kAddedNormalized: two passes
};

// The text of tokens one by one: what each adds to the text so far. The space that a tokenizer puts before a text, or
// before each stretch, is taken away where it stands.
class TokenText {
 public:
  // Goes on behind the tokens `before`. `tokenizer` outlives it.
  explicit TokenText(const Tokenizer& tokenizer, std::span<const TokenId> before = {});
  // Leaves the next token its space, which is none that was put before a text.
  void keep_space() noexcept { strips_ = false; }
  // Returns what the token adds to the text; valid as long as the tokenizer's tables.
  std::string_view next(TokenId id);

 private:
  const Tokenizer& tokenizer_;
  bool strips_ = false, strips_again_ = false;  // the next token's space; that of one behind an added token
};

// Returns the first id whose bytes differ between two tokenizers, or the smaller number of tokens if one is the
// other's beginning or only rules differ; nothing if they give every text the same ids.
std::optional<size_t> first_difference(const Tokenizer& a, const Tokenizer& b);

}  // namespace gpt2
