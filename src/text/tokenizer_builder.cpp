#include "src/text/tokenizer_builder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

// GPT-2's byte alphabet: printable bytes stand for themselves, the others for the code points from 256 on, in order.
std::array<uint32_t, 256> byte_alphabet() {
  std::array<uint32_t, 256> alphabet = {};
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet[byte] = printable ? byte : next++;
  }
  return alphabet;
}

class Builder {
 public:
  Builder(const Vocabulary& vocabulary, uint64_t n_vocab) : v_(vocabulary), n_vocab_(n_vocab) {
    const auto alphabet = byte_alphabet();
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      bytes_of_[alphabet[byte]] = c;
      if (characters_ && v_.byte_fallback) fallback_.emplace(byte_token_text(static_cast<unsigned char>(byte)), c);
    }
  }

  TokenizerData build() {
    for (const AddedToken& token : v_.added) take_added(token);
    for (const auto& [text, id] : v_.tokens) take_token(text, id);
    lay_out_bytes();
    lay_out_byte_tokens();
    take_merges();
    if (v_.rules.ignore_merges || characters_) lay_out_texts();
    data_.rules = v_.rules;
    data_.roles = v_.roles;
    leave_past_rules();
    data_.warnings = v_.warnings;
    if (!past_ids_.empty()) {
      const std::string others =
          past_ids_.size() > 1 ? " and " + std::to_string(past_ids_.size() - 1) + " more tokens" : "";
      data_.warnings.push_back(printable(v_.tokens_file, 400) + ": " + first_past_ + others +
                               " left out: expected ids below vocab_size = " + std::to_string(n_vocab_));
    }
    return std::move(data_);
  }

 private:
  // Whether the embeddings have no row for it, which is noted.
  bool is_past(uint32_t id, const std::string& item) {
    if (id < n_vocab_) return false;
    if (past_ids_.empty()) first_past_ = printable(item) + " (id " + std::to_string(id) + ")";
    past_ids_.insert(id);
    return true;
  }

  void take_added(const AddedToken& token) {
    const std::string item = "added token \"" + token.text + "\"";
    if (token.text.empty())
      fail_model(v_.tokens_file, "added token " + std::to_string(token.id), "a text", "an empty one");
    if (is_past(token.id, item)) return;
    // What is looked for in a text's normal form stands there with its spaces.
    const std::string text = characters_ && token.normalized ? decode_characters(token.text) : token.text;
    const auto [other, added] = texts_.emplace(token.id, text);
    if (!added && other->second != text) {
      fail_model(v_.tokens_file, item, "an id of its own",
                 "id " + std::to_string(token.id) + " of \"" + other->second + "\"");
    }
    if (!added) return;
    data_.special_tokens.push_back(token.id);
    flags_[token.id] = token.flags();
  }

  void take_token(const std::string& text, uint32_t id) {
    const std::string item = "token \"" + text + "\"";
    if (text.empty()) fail_model(v_.tokens_file, "token " + std::to_string(id), "a text", "an empty one");
    if (is_past(id, item)) {
      past_.insert(text);
      return;
    }
    const auto known = texts_.find(id);
    const bool is_added = known != texts_.end() && !ids_seen_.contains(id);
    const std::optional<std::string> bytes = decode(text);
    if (is_added && (known->second == text || known->second == bytes)) {
      ids_seen_[id] = true;
      ids_.emplace(text, id);
      return;
    }
    if (known != texts_.end()) {
      fail_model(v_.tokens_file, item, "an id of its own", "id " + std::to_string(id) + ", taken by another token");
    }
    if (!ids_.emplace(text, id).second) fail_model(v_.tokens_file, item, "each token once", "it twice");
    ids_seen_[id] = true;
    texts_.emplace(id, bytes.value_or(text));
  }

  std::string decode_characters(const std::string& text) const {
    if (const auto byte = fallback_.find(text); byte != fallback_.end()) return {byte->second};
    constexpr std::string_view kSpace = "\u2581";
    std::string bytes;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(kSpace, at), text.size());
      bytes.append(text, at, end - at);
      if (end < text.size()) bytes += ' ';
      at = end + kSpace.size();
    }
    return bytes;
  }

  // A token's bytes; nothing for one that is not written in the byte alphabet.
  std::optional<std::string> decode(const std::string& token) const {
    if (characters_) return decode_characters(token);
    std::string_view text = token;
    std::string bytes;
    while (!text.empty()) {
      const CodePoint c = decode_utf8(text);
      const auto byte = bytes_of_.find(c.value);
      if (!c.valid || byte == bytes_of_.end()) return std::nullopt;
      bytes += byte->second;
      text.remove_prefix(c.length);
    }
    return bytes;
  }

  void lay_out_byte_tokens() {
    data_.byte_tokens.assign(256, kNoToken);
    if (characters_ && !v_.byte_fallback) return;
    const auto alphabet = byte_alphabet();
    for (uint32_t byte = 0; byte < 256; ++byte) {
      std::string text;
      if (characters_) {
        text = byte_token_text(static_cast<unsigned char>(byte));
      } else {
        append_utf8(alphabet[byte], text);
      }
      if (const auto id = ids_.find(text); id != ids_.end()) data_.byte_tokens[byte] = id->second;
    }
  }

  // Ids that the embeddings have no row for, in the rules and the roles.
  void leave_past_rules() {
    TokenizerRules& rules = data_.rules;
    std::erase_if(rules.unused, [&](TokenId id) { return static_cast<uint64_t>(id) >= n_vocab_; });
    std::sort(rules.unused.begin(), rules.unused.end());
    if (rules.unknown >= 0 && static_cast<uint64_t>(rules.unknown) >= n_vocab_) rules.unknown = -1;
    const auto n_tokens = static_cast<TokenId>(data_.offsets.size() - 1);
    for (TokenId& id : data_.roles.ids) id = id < n_tokens ? id : -1;
  }

  void lay_out_bytes() {
    const uint32_t n_tokens = texts_.empty() ? 0 : texts_.rbegin()->first + 1;
    data_.offsets.assign(1, 0);
    for (uint32_t id = 0; id < n_tokens; ++id) {
      if (const auto text = texts_.find(id); text != texts_.end()) {
        if (text->second.size() > kMaxTokenBytes) {
          fail_model(v_.tokens_file, "token " + std::to_string(id),
                     "a text of at most " + std::to_string(kMaxTokenBytes) + " bytes",
                     std::to_string(text->second.size()));
        }
        data_.bytes.insert(data_.bytes.end(), text->second.begin(), text->second.end());
      }
      if (data_.bytes.size() > UINT32_MAX) fail_model(v_.tokens_file, "vocabulary", "texts of at most 4 GiB", "more");
      data_.offsets.push_back(static_cast<uint32_t>(data_.bytes.size()));
    }
    std::stable_sort(data_.special_tokens.begin(), data_.special_tokens.end(),
                     [&](uint32_t a, uint32_t b) { return texts_.at(a).size() > texts_.at(b).size(); });
    lay_out_flags();
  }

  // No table where all are special without other flags (one pass or the other is the same where there is one).
  void lay_out_flags() {
    for (const uint32_t id : data_.special_tokens) data_.added_flags.push_back(flags_.at(id));
    const std::vector<uint32_t>& flags = data_.added_flags;
    const auto all = [&](uint32_t flag) {
      return std::all_of(flags.begin(), flags.end(), [flag](uint32_t f) { return f == flag; });
    };
    if (all(kAddedSpecial) || all(kAddedSpecial | kAddedNormalized)) data_.added_flags.clear();
  }

  bool is_past_token(const std::string& text) const { return !past_.empty() && past_.contains(text); }

  uint32_t merge_token(const std::string& text, const std::string& item) const {
    const auto id = ids_.find(text);
    if (id == ids_.end()) fail_model(v_.merges_file, item, "tokens of the vocabulary", "\"" + text + "\"");
    return id->second;
  }

  // At most half full, so that probes stay short and an empty slot always ends them.
  void take_merges() {
    const size_t n_slots = std::bit_ceil(std::max<size_t>(2 * v_.merges.size(), 2));
    data_.merges.assign(n_slots, MergeSlot{kNoToken, 0, 0, 0});
    GPT2_CHECK(v_.merge_ranks.empty() || v_.merge_ranks.size() == v_.merges.size());
    for (size_t rank = 0; rank < v_.merges.size(); ++rank) {
      const auto& [left_text, right_text] = v_.merges[rank];
      if (is_past_token(left_text) || is_past_token(right_text) || is_past_token(left_text + right_text)) continue;
      const std::string item = "merge " + std::to_string(rank + 1) + " \"" + left_text + " " + right_text + "\"";
      const uint32_t left = merge_token(left_text, item), right = merge_token(right_text, item);
      const uint32_t result = merge_token(left_text + right_text, item);
      size_t slot = merge_slot(left, right, n_slots), probes = 1;
      for (; data_.merges[slot].left != kNoToken; slot = (slot + 1) & (n_slots - 1)) {
        if (++probes > kMaxProbes)
          fail_model(v_.merges_file, item, "pairs that spread over a table", "ids that were chosen to collide");
        if (data_.merges[slot].left == left && data_.merges[slot].right == right) {
          fail_model(v_.merges_file, item, "each merge once", "it twice");
        }
      }
      const uint32_t own = v_.merge_ranks.empty() ? static_cast<uint32_t>(rank) : v_.merge_ranks[rank];
      data_.merges[slot] = {left, right, result, own};
    }
  }

  // The bytes by which `encode` looks for a token: nothing for one that it does not look for. Where symbols are
  // characters, those are the ones of one character, unless whole pieces count.
  std::optional<std::string> looked_up(const std::string& text, uint32_t id) const {
    std::optional<std::string> bytes = decode(text);
    if (!characters_ || !bytes) return bytes;
    const auto flags = flags_.find(id);
    const bool special = flags != flags_.end() && (flags->second & kAddedSpecial) != 0;
    if (fallback_.contains(text) || (special && !unused_.contains(static_cast<TokenId>(id)))) return {};
    return v_.rules.ignore_merges || decode_utf8(*bytes).length == bytes->size() ? bytes : std::nullopt;
  }

  // At most half full, as the merges. Tokens with characters outside the byte alphabet are reached from no text.
  void lay_out_texts() {
    std::vector<std::pair<std::string, uint32_t>> texts;
    for (const auto& [text, id] : v_.tokens) {
      std::optional<std::string> bytes = id < n_vocab_ ? looked_up(text, id) : std::nullopt;
      if (bytes) texts.emplace_back(std::move(*bytes), id);
    }
    const size_t n = characters_ ? texts.size() : v_.tokens.size();
    data_.texts.assign(std::bit_ceil(std::max<size_t>(2 * n, 2)), kNoToken);
    for (const auto& [bytes, id] : texts) {
      size_t slot = text_slot(bytes, data_.texts.size()), probes = 1;
      for (; data_.texts[slot] != kNoToken; slot = (slot + 1) & (data_.texts.size() - 1)) {
        if (++probes <= kMaxProbes) continue;
        fail_model(v_.tokens_file, "token \"" + bytes + "\"", "texts that spread over a table",
                   "some that were chosen to collide");
      }
      data_.texts[slot] = id;
    }
  }

  const Vocabulary& v_;
  uint64_t n_vocab_;
  bool characters_ = v_.rules.symbols == Symbols::characters;
  std::unordered_set<TokenId> unused_{v_.rules.unused.begin(), v_.rules.unused.end()};
  std::unordered_map<uint32_t, char> bytes_of_;      // character of the alphabet -> byte
  std::unordered_map<std::string, char> fallback_;   // text of a byte's token -> byte
  std::map<uint32_t, std::string> texts_;            // id -> bytes
  std::map<uint32_t, bool> ids_seen_;                // ids that the vocabulary itself has given
  std::unordered_map<std::string, uint32_t> ids_;    // text in the alphabet -> id
  std::unordered_map<uint32_t, uint32_t> flags_;     // of the added tokens
  std::unordered_set<std::string> past_;             // tokens that the embeddings have no row for
  std::unordered_set<uint32_t> past_ids_;
  std::string first_past_;
  TokenizerData data_;
};

}  // namespace

uint32_t AddedToken::flags() const noexcept {
  return (special ? kAddedSpecial : 0u) | (lstrip ? kAddedLstrip : 0u) | (rstrip ? kAddedRstrip : 0u) |
         (single_word ? kAddedSingleWord : 0u) | (normalized ? kAddedNormalized : 0u);
}

TokenizerTables TokenizerData::tables() const {
  return {bytes, offsets, merges, byte_tokens, special_tokens, added_flags, rules, texts};
}

TokenizerData build_tokenizer(const Vocabulary& vocabulary, uint64_t n_vocab) {
  return Builder(vocabulary, n_vocab).build();
}

std::string byte_token_text(unsigned char byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
}

std::string to_byte_alphabet(std::string_view bytes) {
  static const std::array<uint32_t, 256> alphabet = byte_alphabet();
  std::string text;
  for (const char byte : bytes) append_utf8(alphabet[static_cast<unsigned char>(byte)], text);
  return text;
}

}  // namespace gpt2
