#include "src/text/pieces.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

class PieceReader {
 public:
  PieceReader(const std::vector<Piece>& pieces, PrefixSpace prefix, const std::string& file) : pieces_(pieces) {
    v_.tokens_file = v_.merges_file = file;
    v_.rules.symbols = Symbols::characters;
    v_.rules.prefix_space = prefix;
    v_.rules.fuse_unknown = true;
  }

  Vocabulary read() {
    for (size_t id = 0; id < pieces_.size(); ++id) take(static_cast<uint32_t>(id));
    check_bytes();
    rank();
    for (const uint32_t id : by_score_) add_merges(id);
    return std::move(v_);
  }

 private:
  [[noreturn]] void refuse(uint32_t id, std::string_view expected, std::string_view found) const {
    fail_model(v_.tokens_file, "piece " + std::to_string(id) + " \"" + pieces_[id].text + "\"", expected, found);
  }

  void take(uint32_t id) {
    const Piece& piece = pieces_[id];
    if (piece.text.empty()) refuse(id, "a text", "none");
    if (piece.type == PieceType::unused && piece.text == padding_text(id)) return;
    if (!ids_.emplace(piece.text, id).second) refuse(id, "each piece once", "it twice");
    v_.tokens.emplace_back(piece.text, id);
    switch (piece.type) {
      case PieceType::normal: return take_merged(id);
      case PieceType::unused: return take_merged(id);
      case PieceType::unknown: v_.rules.unknown = static_cast<TokenId>(id); return take_special(id);
      case PieceType::control: return take_special(id);
      case PieceType::user_defined: return add_token(id, false);
      case PieceType::byte: ++n_bytes_; return;
    }
    refuse(id, "a type from 1 to 6", std::to_string(static_cast<int>(piece.type)));
  }

  void take_merged(uint32_t id) {
    const Piece& piece = pieces_[id];
    if (piece.text.size() > kMaxPieceBytes) {
      refuse(id, "at most " + std::to_string(kMaxPieceBytes) + " bytes", std::to_string(piece.text.size()));
    }
    if (std::isnan(piece.score)) refuse(id, "a score", "none (NaN)");
    merged_.emplace(piece.text, id);
    by_score_.push_back(id);
  }

  // Merges look at texts alone, so that one of a single character is a part as good as an unused one.
  void take_special(uint32_t id) {
    const std::string_view text = pieces_[id].text;
    add_token(id, true);
    if (decode_utf8(text).length != text.size()) return;
    merged_.emplace(text, id);
    v_.rules.unused.push_back(static_cast<TokenId>(id));
  }

  // Special ones are found in the text itself, user-defined ones in the form that pieces have.
  void add_token(uint32_t id, bool special) {
    AddedToken token;
    token.text = pieces_[id].text;
    token.id = id;
    token.special = special;
    token.normalized = !special;
    v_.added.push_back(std::move(token));
  }

  void check_bytes() {
    if (n_bytes_ == 0) return;
    v_.byte_fallback = true;
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text = byte_token_text(static_cast<unsigned char>(byte));
      const auto found = ids_.find(text);
      if (found != ids_.end() && pieces_[found->second].type == PieceType::byte) continue;
      fail_model(v_.tokens_file, "piece \"" + text + "\"", "one for each byte, or for none", "none for this one");
    }
    if (n_bytes_ > 256) fail_model(v_.tokens_file, "pieces of type 6", "256 bytes", std::to_string(n_bytes_));
  }

  // Equal scores have one rank.
  void rank() {
    std::stable_sort(by_score_.begin(), by_score_.end(),
                     [&](uint32_t a, uint32_t b) { return pieces_[a].score > pieces_[b].score; });
    uint32_t rank = 0;
    for (size_t i = 0; i < by_score_.size(); ++i) {
      if (i > 0 && pieces_[by_score_[i]].score < pieces_[by_score_[i - 1]].score) ++rank;
      ranks_.emplace(by_score_[i], rank);
    }
  }

  void add_merges(uint32_t id) {
    const std::string_view text = pieces_[id].text;
    const size_t before = v_.merges.size(), most = 16 * (pieces_.size() + 16);
    for (size_t cut = decode_utf8(text).length; cut < text.size(); cut += decode_utf8(text.substr(cut)).length) {
      if (!merged_.contains(text.substr(0, cut)) || !merged_.contains(text.substr(cut))) continue;
      v_.merges.emplace_back(text.substr(0, cut), text.substr(cut));
      v_.merge_ranks.push_back(ranks_.at(id));
    }
    // What a vocabulary learns has two ways or three to make a piece.
    if (v_.merges.size() > most) {
      refuse(id, "at most " + std::to_string(most) + " pairs that make " + std::to_string(pieces_.size()) + " pieces",
             "more");
    }
    const bool one_character = decode_utf8(text).length == text.size();
    if (pieces_[id].type == PieceType::unused && (one_character || v_.merges.size() > before)) {
      v_.rules.unused.push_back(static_cast<TokenId>(id));
    }
  }

  const std::vector<Piece>& pieces_;
  Vocabulary v_;
  std::unordered_map<std::string_view, uint32_t> ids_, merged_;  // of all pieces; of those that merges meet
  std::unordered_map<uint32_t, uint32_t> ranks_;
  std::vector<uint32_t> by_score_;
  size_t n_bytes_ = 0;
};

}  // namespace

std::string padding_text(size_t id) { return "[PAD" + std::to_string(id) + "]"; }

Vocabulary vocabulary_of_pieces(const std::vector<Piece>& pieces, PrefixSpace prefix, const std::string& file) {
  return PieceReader(pieces, prefix, file).read();
}

}  // namespace gpt2
