// Added tokens: texts that become one token wherever they stand, found before anything else looks at a text. The
// meaning of their flags is that of Hugging Face's `tokenizers` (added_vocabulary.rs), also where it is odd.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gpt2 {

using TokenId = int32_t;

// Special tokens are text unless they are asked for; the other added tokens are always matched.
enum class Specials { as_text, parse };

// Flags of an added token. Part of the file format.
inline constexpr uint32_t kAddedSpecial = 1;
inline constexpr uint32_t kAddedLstrip = 2;       // takes the white space before it along
inline constexpr uint32_t kAddedRstrip = 4;       // and behind it
inline constexpr uint32_t kAddedSingleWord = 8;   // only where no word character touches it
// Looked for after the others, in the text between them (behind any normaliser)
inline constexpr uint32_t kAddedNormalized = 16;
inline constexpr uint32_t kAddedFlagMask = 31;
// All their texts together, so that what is built of them stays small.
inline constexpr size_t kMaxAddedBytes = size_t{1} << 20;

struct AddedText {
  std::string_view text;
  TokenId id = 0;
  uint32_t flags = kAddedSpecial;
};

// The added tokens that are looked for together, as an Aho-Corasick automaton (CACM 18, 1975) of the reversed texts:
// read from its end, a text shows at each position the longest token that begins there. O(n) for a text of n bytes,
// whatever the tokens.
class AddedTokens {
 public:
  AddedTokens() : nodes_(1) {}
  // Builds the automaton, and views nothing of `tokens` afterwards. Of two tokens with one text the first counts; a
  // token without text is never found.
  explicit AddedTokens(std::span<const AddedText> tokens);

  struct Match {
    size_t begin = 0, end = 0;  // with the white space that it took along
    TokenId id = 0;
  };
  struct Found {
    // By place. A token of white space may overlap what rstrip took before it, or lie in it
    std::vector<Match> matches;
    uint64_t steps = 0;          // bytes and edges looked at, for tests
  };
  // Returns the matches, leftmost first, of those the longest. One that its flags forbid hides what else is in it.
  Found find(std::string_view text, Specials specials) const;

  // Returns whether `find` could find anything.
  bool any(Specials specials) const noexcept { return specials == Specials::parse ? !tokens_.empty() : any_ordinary_; }

 private:
  struct Token {
    TokenId id = 0;
    uint32_t flags = 0;
    size_t length = 0;
  };
  struct Node {
    uint32_t parent = 0, fail = 0, depth = 0;
    uint32_t token = 0;  // 1 + index of the longest token whose reversed text ends here; 0: none
    unsigned char byte = 0;
  };

  void insert(const AddedText& token);
  void link();
  uint32_t child(uint32_t node, unsigned char byte) const;
  uint32_t step(uint32_t node, unsigned char byte, uint64_t& steps) const;

  std::vector<Token> tokens_;
  std::vector<Node> nodes_;  // the root first
  std::array<uint32_t, 256> roots_ = {};
  std::unordered_map<uint64_t, uint32_t> edges_;  // node * 256 + byte -> node, but for the root's
  bool any_ordinary_ = false;
};

}  // namespace gpt2
