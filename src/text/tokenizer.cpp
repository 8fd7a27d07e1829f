#include "src/text/tokenizer.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/text/nfc.h"

namespace gpt2 {

size_t merge_slot(uint32_t left, uint32_t right, size_t n_slots) noexcept {
  const uint64_t key = (static_cast<uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(key >> 32) & (n_slots - 1);
}

size_t text_slot(std::string_view text, size_t n_slots) {
  return static_cast<size_t>(xxh3(std::as_bytes(std::span(text)))) & (n_slots - 1);
}

Tokenizer::Tokenizer(const TokenizerTables& tables, std::string_view file) : tables_(tables), file_(file) {
  const auto refuse = [&](const char* item, const char* expected, size_t found) {
    fail_model(file, item, expected, std::to_string(found));
  };
  if (tables.offsets.empty() || tables.offsets.size() - 1 > static_cast<size_t>(std::numeric_limits<TokenId>::max())) {
    refuse("tokenizer.offsets", "1 to 2^31 entries", tables.offsets.size());
  }
  if (!std::has_single_bit(tables.merges.size())) {
    refuse("tokenizer.merges", "a power of two of slots", tables.merges.size());
  }
  if (tables.byte_tokens.size() != 256) refuse("tokenizer.byte_tokens", "256 entries", tables.byte_tokens.size());
  if ((tables.rules.ignore_merges || !tables.texts.empty()) && !std::has_single_bit(tables.texts.size())) {
    refuse("tokenizer.texts", "a power of two of slots", tables.texts.size());
  }
  for (const TokenId id : tables.rules.before_text) {
    if (id < 0 || static_cast<size_t>(id) >= n_tokens()) {
      fail_model(file, "tokenizer.before_text", "ids below " + std::to_string(n_tokens()), std::to_string(id));
    }
  }
  if (tables.rules.prefix_space && tables.byte_tokens[' '] >= n_tokens()) {
    fail_model(file, "tokenizer.prefix_space", "a vocabulary with a space", "one without");
  }
  take_added_tokens(file);
}

void Tokenizer::take_added_tokens(std::string_view file) {
  const auto &ids = tables_.special_tokens, &flags = tables_.added_flags;
  if (!flags.empty() && flags.size() != ids.size()) {
    fail_model(file, "tokenizer.added_flags", std::to_string(ids.size()) + " entries", std::to_string(flags.size()));
  }
  std::vector<AddedText> passes[2];
  std::deque<std::string> normal_forms;  // what the second pass looks for stands in a normalised text
  size_t bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint32_t flag = flags.empty() ? uint32_t{kAddedSpecial} : flags[i];
    if ((flag & ~kAddedFlagMask) != 0) {
      fail_model(file, "tokenizer.added_flags", "flags of " + std::to_string(kAddedFlagMask), std::to_string(flag));
    }
    const std::string_view text = token_bytes(static_cast<TokenId>(ids[i]));
    bytes += text.size();
    if (bytes > kMaxAddedBytes) {
      fail_model(file, "tokenizer.special_tokens", "texts of at most " + std::to_string(kMaxAddedBytes) + " bytes",
                 "more");
    }
    const bool second = (flag & kAddedNormalized) != 0;
    const bool changed = second && tables_.rules.nfc && !surely_nfc(text);
    passes[second ? 1 : 0].push_back(
        {changed ? normal_forms.emplace_back(to_nfc(text)) : text, static_cast<TokenId>(ids[i]), flag});
  }
  plain_ = AddedTokens(passes[0]);
  normalized_ = AddedTokens(passes[1]);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const auto index = static_cast<size_t>(id);
  if (id < 0 || index >= n_tokens()) return {};
  const size_t begin = tables_.offsets[index], end = tables_.offsets[index + 1];
  if (begin > end || end > tables_.bytes.size() || end - begin > kMaxTokenBytes) {
    fail_model(file_, "tokenizer.offsets of token " + std::to_string(id),
               "ascending ones up to " + std::to_string(tables_.bytes.size()) + ", at most " +
                   std::to_string(kMaxTokenBytes) + " apart",
               std::to_string(begin) + ", " + std::to_string(end));
  }
  return {tables_.bytes.data() + begin, end - begin};
}

std::optional<TokenId> Tokenizer::find_text(std::string_view text) const {
  const size_t n = tables_.texts.size(), most = std::min(n, kMaxProbes);
  size_t slot = text_slot(text, n);
  for (size_t probe = 0; probe < most; ++probe, slot = (slot + 1) & (n - 1)) {
    const uint32_t id = tables_.texts[slot];
    if (id == kNoToken) return std::nullopt;
    if (id < n_tokens() && token_bytes(static_cast<TokenId>(id)) == text) return static_cast<TokenId>(id);
  }
  fail_model(file_, "tokenizer.texts", "an empty slot within " + std::to_string(most), "none");
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += token_bytes(id);
  return text;
}

bool Tokenizer::is_special(TokenId id) const noexcept {
  const auto &ids = tables_.special_tokens, &flags = tables_.added_flags;
  const auto found = std::find(ids.begin(), ids.end(), static_cast<uint32_t>(id));
  return found != ids.end() &&
         (flags.empty() || (flags[static_cast<size_t>(found - ids.begin())] & kAddedSpecial) != 0);
}

uint64_t Tokenizer::hash() const {
  Xxh3Stream hash;
  hash.update(std::as_bytes(tables_.bytes));
  hash.update(std::as_bytes(tables_.offsets));
  hash.update(std::as_bytes(tables_.merges));
  hash.update(std::as_bytes(tables_.byte_tokens));
  hash.update(std::as_bytes(tables_.special_tokens));
  return hash.digest();
}

// Merges the symbols of one piece: a linked list of symbols, and a heap of the pairs that may merge, lowest rank first
// and leftmost among equals. Each merge removes a symbol and adds at most two pairs: O(n log n).
class Tokenizer::Merger {
 public:
  explicit Merger(const Tokenizer& tokenizer)
      : tables_(tokenizer.tables_), file_(tokenizer.file_), n_tokens_(tokenizer.n_tokens()) {}

  // Replaces out[first, end) by the merged ids.
  void merge(std::vector<TokenId>& out, size_t first) {
    const size_t n = out.size() - first;
    if (n < 2) return;
    GPT2_CHECK(n < kEnd);
    symbols_.resize(n);
    for (uint32_t i = 0; i < n; ++i) {
      symbols_[i] = {static_cast<uint32_t>(out[first + i]), i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1};
    }
    for (uint32_t i = 0; i + 1 < n; ++i) push_pair(i);
    while (!pairs_.empty()) {
      const Pair pair = pairs_.top();
      pairs_.pop();
      apply(pair);
    }
    out.resize(first);
    for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) out.push_back(static_cast<TokenId>(symbols_[i].id));
  }

 private:
  static constexpr uint32_t kEnd = 0xFFFFFFFFu;
  struct Symbol {
    uint32_t id, previous, next;  // id is kNoToken once merged into its left neighbour
  };
  struct Pair {
    uint32_t rank, at, left, right, result;
    bool operator>(const Pair& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
  };

  void push_pair(uint32_t at) {
    const uint32_t left = symbols_[at].id, right = symbols_[symbols_[at].next].id;
    const MergeSlot* merge = find(left, right);
    if (merge != nullptr) pairs_.push({merge->rank, at, left, right, merge->result});
  }

  // The tables may lie: a bounded number of probes, and no result outside the vocabulary.
  const MergeSlot* find(uint32_t left, uint32_t right) const {
    const size_t n = tables_.merges.size();
    const size_t most = std::min(n, kMaxProbes);
    size_t slot = merge_slot(left, right, n);
    for (size_t probe = 0; probe < most; ++probe, slot = (slot + 1) & (n - 1)) {
      const MergeSlot& merge = tables_.merges[slot];
      if (merge.left == kNoToken) return nullptr;
      if (merge.left == left && merge.right == right) return merge.result < n_tokens_ ? &merge : nullptr;
    }
    fail_model(file_, "tokenizer.merges", "an empty slot within " + std::to_string(most), "none");
  }

  void apply(const Pair& pair) {
    Symbol& left = symbols_[pair.at];
    if (left.id != pair.left || left.next == kEnd || symbols_[left.next].id != pair.right) return;  // merged meanwhile
    Symbol& right = symbols_[left.next];
    left.id = pair.result;
    left.next = right.next;
    right.id = kNoToken;
    if (left.next != kEnd) {
      symbols_[left.next].previous = pair.at;
      push_pair(pair.at);
    }
    if (left.previous != kEnd) push_pair(left.previous);
  }

  const TokenizerTables& tables_;
  const std::string& file_;
  size_t n_tokens_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs_;
};

void Tokenizer::push_bytes(std::string_view piece, size_t offset, std::vector<TokenId>& out) const {
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<unsigned char>(piece[i]);
    const uint32_t id = tables_.byte_tokens[byte];
    if (id >= n_tokens()) {
      fail(ExitCode::input, "prompt: byte " + std::to_string(byte) + " at offset " + std::to_string(offset + i) +
                                " has no token in this vocabulary (--tokens takes ids)");
    }
    out.push_back(static_cast<TokenId>(id));
  }
}

void Tokenizer::encode_text(std::string_view text, size_t offset, Merger& merger, std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const size_t length = next_piece(text, tables_.rules.split);
    const std::optional<TokenId> whole = tables_.rules.ignore_merges ? find_text(text.substr(0, length)) : std::nullopt;
    if (whole) {
      out.push_back(*whole);
    } else {
      const size_t first = out.size();
      push_bytes(text.substr(0, length), offset, out);
      merger.merge(out, first);
    }
    text.remove_prefix(length);
    offset += length;
  }
}

namespace {

// Appends the ids of the added tokens in `text`; part(text, offset) takes what stands between them.
template <class Part>
void split_at(const AddedTokens& added, std::string_view text, Specials specials, std::vector<TokenId>& out,
              Part part) {
  if (!added.any(specials)) return part(text, size_t{0});
  size_t at = 0;
  for (const AddedTokens::Match& match : added.find(text, specials).matches) {
    if (match.begin > at) part(text.substr(at, match.begin - at), at);
    out.push_back(match.id);
    at = match.end;
  }
  part(text.substr(at), at);
}

}  // namespace

void Tokenizer::encode(std::string_view text, Specials specials, std::vector<TokenId>& out) const {
  Merger merger(*this);
  out.insert(out.end(), tables_.rules.before_text.begin(), tables_.rules.before_text.end());
  split_at(plain_, text, specials, out, [&](std::string_view part, size_t begin) {
    std::string normal;
    if (tables_.rules.nfc && !surely_nfc(part)) part = normal = to_nfc(part);
    split_at(normalized_, part, specials, out, [&](std::string_view piece, size_t offset) {
      const bool spaced = tables_.rules.prefix_space && !piece.empty() && piece[0] != ' ';
      // The space stands at the offset before the piece's own, and always has a token.
      if (spaced) {
        encode_text(" " + std::string(piece), begin + offset - 1, merger, out);
      } else {
        encode_text(piece, begin + offset, merger, out);
      }
    });
  });
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<TokenId> ids;
  encode(text, specials, ids);
  return ids;
}

std::optional<size_t> first_difference(const Tokenizer& a, const Tokenizer& b) {
  if (a.hash() == b.hash()) return std::nullopt;
  const size_t shared = std::min(a.n_tokens(), b.n_tokens());
  for (size_t id = 0; id < shared; ++id) {
    const auto token = static_cast<TokenId>(id);
    if (a.token_bytes(token) != b.token_bytes(token)) return id;
  }
  return shared;
}

}  // namespace gpt2
