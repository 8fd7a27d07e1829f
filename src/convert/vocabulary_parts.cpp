#include "src/convert/vocabulary_parts.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "src/base/error.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {
namespace {

std::string with_marks(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    if (byte == ' ') {
      text += "\u2581";
    } else {
      text += byte;
    }
  }
  return text;
}

class Reader {
 public:
  explicit Reader(const Model& model)
      : model_(model), tables_(model.file().tokenizer), characters_(tables_.rules.symbols == Symbols::characters) {}

  VocabularyParts read() {
    parts_.tokens.resize(model_.tokenizer().n_tokens());
    read_added();
    read_bytes();
    for (size_t id = 0; id < parts_.tokens.size(); ++id) spell(id);
    read_merges();
    return std::move(parts_);
  }

 private:
  void read_added() {
    for (size_t i = 0; i < tables_.special_tokens.size(); ++i) {
      const uint32_t id = tables_.special_tokens[i];
      check_id(id, "tokenizer.special_tokens");
      parts_.tokens[id].is_added = true;
      parts_.tokens[id].flags = tables_.added_flags.empty() ? kAddedSpecial : tables_.added_flags[i];
    }
  }

  void read_bytes() {
    for (size_t byte = 0; characters_ && byte < tables_.byte_tokens.size(); ++byte) {
      const uint32_t id = tables_.byte_tokens[byte];
      if (id == kNoToken) continue;
      check_id(id, "tokenizer.byte_tokens");
      parts_.tokens[id].is_byte = true;
      parts_.tokens[id].text = byte_token_text(static_cast<unsigned char>(byte));
    }
  }

  void spell(size_t id) {
    VocabularyParts::Token& token = parts_.tokens[id];
    const std::string_view bytes = model_.tokenizer().token_bytes(static_cast<TokenId>(id));
    if (bytes.empty()) return;
    if (token.is_added && !(characters_ && (token.flags & kAddedNormalized) != 0)) {
      token.text = bytes;
    } else if (!token.is_byte) {
      token.text = characters_ ? with_marks(bytes) : to_byte_alphabet(bytes);
    }
    const auto [other, is_new] = ids_.emplace(token.text, id);
    if (is_new) return;
    fail_model(model_.name(), "token " + std::to_string(id), "a text of its own",
               "\"" + token.text + "\", as token " + std::to_string(other->second));
  }

  void read_merges() {
    for (const MergeSlot& merge : tables_.merges) {
      if (merge.left == kNoToken) continue;
      for (const uint32_t id : {merge.left, merge.right, merge.result}) check_id(id, "tokenizer.merges");
      parts_.merges.push_back(merge);
    }
    std::sort(parts_.merges.begin(), parts_.merges.end(), [](const MergeSlot& a, const MergeSlot& b) {
      return std::pair(a.rank, uint64_t{a.left} << 32 | a.right) < std::pair(b.rank, uint64_t{b.left} << 32 | b.right);
    });
  }

  void check_id(uint32_t id, std::string_view item) const {
    if (id < parts_.tokens.size()) return;
    fail_model(model_.name(), item, "ids below " + std::to_string(parts_.tokens.size()), std::to_string(id));
  }

  const Model& model_;
  const TokenizerTables& tables_;
  bool characters_;
  VocabularyParts parts_;
  std::unordered_map<std::string, size_t> ids_;
};

PieceType type_of(const VocabularyParts::Token& token, bool is_unknown) {
  if (token.is_byte) return PieceType::byte;
  if (is_unknown) return PieceType::unknown;
  if (!token.is_added) return PieceType::normal;
  return (token.flags & kAddedSpecial) != 0 ? PieceType::control : PieceType::user_defined;
}

// Scores are the ranks turned round; a rank that no merge has is that of a piece that no merge makes, as in the model
// that they came from.
void score(std::vector<Piece>& pieces, const std::vector<MergeSlot>& merges) {
  std::map<uint32_t, uint32_t> ranks;  // of ids
  std::set<uint32_t> used;
  for (const MergeSlot& merge : merges) {
    ranks.emplace(merge.result, merge.rank);
    used.insert(merge.rank);
  }
  const uint32_t end = used.empty() ? 0 : *used.rbegin() + 1;
  std::vector<uint32_t> free;
  for (uint32_t rank = 0; rank < end && free.size() < pieces.size(); ++rank) {
    if (!used.contains(rank)) free.push_back(rank);
  }
  size_t next = 0;
  for (uint32_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type != PieceType::normal) continue;
    const auto rank = ranks.find(id);
    const uint32_t own = rank != ranks.end() ? rank->second : next < free.size() ? free[next++] : end;
    pieces[id].score = -static_cast<float>(own);
  }
}

}  // namespace

std::string VocabularyParts::merge_text(const MergeSlot& merge) const {
  return tokens[merge.left].text + " " + tokens[merge.right].text;
}

VocabularyParts vocabulary_parts(const Model& model) { return Reader(model).read(); }

std::vector<Piece> pieces_of(const Model& model) {
  const VocabularyParts parts = vocabulary_parts(model);
  const TokenizerRules& rules = model.tokenizer().rules();
  std::vector<Piece> pieces;
  for (const VocabularyParts::Token& token : parts.tokens) {
    const bool is_unknown = static_cast<TokenId>(pieces.size()) == rules.unknown;
    if (token.text.empty()) {
      pieces.push_back({padding_text(pieces.size()), 0, PieceType::unused});
    } else {
      pieces.push_back({token.text, 0, type_of(token, is_unknown)});
    }
  }
  score(pieces, parts.merges);
  for (const TokenId id : rules.unused) {
    if (id < 0 || static_cast<size_t>(id) >= pieces.size()) continue;
    PieceType& type = pieces[static_cast<size_t>(id)].type;
    if (type == PieceType::normal) type = PieceType::unused;  // else a control piece of one character
  }
  // Read back, they are the same tokenizer, or its merges are not those that scores make.
  Vocabulary again = vocabulary_of_pieces(pieces, rules.prefix_space, model.name());
  again.rules.before_text = rules.before_text;
  const TokenizerData data = build_tokenizer(again, model.config().n_vocab);
  if (Tokenizer(data.tables(), model.name()).hash() != model.tokenizer().hash()) {
    fail_model(model.name(), "tokenizer", "SentencePiece's, whose merges follow from scores", "another");
  }
  return pieces;
}

}  // namespace gpt2
