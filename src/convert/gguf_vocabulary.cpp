#include "src/convert/gguf_vocabulary.h"

#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/convert/gguf_tokenizer.h"
#include "src/convert/role_key.h"
#include "src/convert/vocabulary_parts.h"

namespace gpt2 {
namespace {

const std::string kPrefix = "tokenizer.ggml.";

// Keys of the roles that the file says.
constexpr RoleKey kRoleKeys[] = {{"padding_token_id", TokenRole::pad},
                                 {"unknown_token_id", TokenRole::unk},
                                 {"fim_pre_token_id", TokenRole::fim_prefix},
                                 {"fim_suf_token_id", TokenRole::fim_suffix},
                                 {"fim_mid_token_id", TokenRole::fim_middle},
                                 {"fim_pad_token_id", TokenRole::fim_pad}};

class Writer {
 public:
  Writer(const Model& model, GgufWriter& out) : model_(model), rules_(model.tokenizer().rules()), out_(out) {}

  void write() {
    const bool characters = rules_.symbols == Symbols::characters;
    out_.text(kPrefix + "model", characters ? "llama" : "gpt2");
    if (characters) {
      write_pieces();
    } else {
      write_bytes();
    }
    write_before_text();
    write_ends();
    for (const auto& [key, role] : kRoleKeys) {
      const TokenId id = role == TokenRole::unk && characters ? rules_.unknown : model_.file().roles[role];
      if (id >= 0) out_.u32(kPrefix + std::string(key), static_cast<uint32_t>(id));
    }
    const std::string& chat = model_.file().chat_template;
    if (!chat.empty()) out_.text("tokenizer.chat_template", chat);
  }

 private:
  [[noreturn]] void refuse(std::string_view rule, std::string_view expected, std::string_view found) const {
    fail_model(model_.name(), "tokenizer." + std::string(rule), std::string(expected) + " (GGUF has no key for others)",
               found);
  }

  void write_pieces() {
    const bool space = rules_.prefix_space == PrefixSpace::stretch;
    if (!space && rules_.prefix_space != PrefixSpace::none) {
      refuse("prefix_space", "none or stretch", name_of(rules_.prefix_space));
    }
    std::vector<float> scores;
    for (const Piece& piece : pieces_of(model_)) {
      take(piece.text, piece.type);
      scores.push_back(piece.score);
    }
    pad();
    scores.resize(texts_.size(), -static_cast<float>(texts_.size()));
    out_.text(kPrefix + "pre", "default").texts(kPrefix + "tokens", texts_);
    out_.f32s(kPrefix + "scores", scores).i32s(kPrefix + "token_type", types_);
    out_.flag(kPrefix + "add_space_prefix", space);
  }

  void write_bytes() {
    const bool space = rules_.prefix_space == PrefixSpace::unspaced;
    if (!space && rules_.prefix_space != PrefixSpace::none) {
      refuse("prefix_space", "none or true", name_of(rules_.prefix_space));
    }
    const auto pre = gguf_pre_of(rules_);
    if (!pre) {
      refuse(rules_.nfc ? "nfc" : "ignore_merges", "what a name of tokenizer.ggml.pre means",
             std::string(name_of(rules_.split)) + (rules_.nfc ? " with nfc" : " without") +
                 (rules_.ignore_merges ? " and ignore_merges" : ""));
    }
    const VocabularyParts parts = vocabulary_parts(model_);
    for (size_t id = 0; id < parts.tokens.size(); ++id) {
      const VocabularyParts::Token& token = parts.tokens[id];
      check_flags(id, token.flags);
      const bool special = (token.flags & kAddedSpecial) != 0;
      take(token.text, !token.is_added ? PieceType::normal : special ? PieceType::control : PieceType::user_defined);
    }
    pad();
    std::vector<std::string> merges;
    for (const MergeSlot& merge : parts.merges) merges.push_back(parts.merge_text(merge));
    out_.text(kPrefix + "pre", *pre).texts(kPrefix + "tokens", texts_);
    out_.i32s(kPrefix + "token_type", types_).texts(kPrefix + "merges", merges);
    if (space) out_.flag(kPrefix + "add_space_prefix", true);
  }

  // Where a text is looked for in another form than it has, it matters in which one an added token is found.
  void check_flags(size_t id, uint32_t flags) const {
    const uint32_t inert = kAddedSpecial | (rules_.nfc ? 0 : kAddedNormalized);
    if ((flags & ~inert) == 0) return;
    refuse("added_flags", "added tokens without lstrip, rstrip, single_word and normalized",
           "flags " + std::to_string(flags) + " of token " + std::to_string(id));
  }

  void take(const std::string& text, PieceType type) {
    texts_.push_back(text.empty() ? padding_text(texts_.size()) : text);
    types_.push_back(static_cast<int32_t>(text.empty() ? PieceType::unused : type));
  }

  void pad() {
    while (texts_.size() < model_.config().n_vocab) take("", PieceType::unused);
  }

  void write_before_text() {
    const std::vector<TokenId>& before = rules_.before_text;
    const TokenId bos = model_.config().bos_token_id;
    if (before.size() > 1 || (before.size() == 1 && bos >= 0 && before[0] != bos)) {
      refuse("before_text", "nothing or bos_token_id", before.size() > 1 ? "several tokens" : "another token");
    }
    const TokenId id = before.empty() ? bos : before[0];
    if (id >= 0) out_.u32(kPrefix + "bos_token_id", static_cast<uint32_t>(id));
    out_.flag(kPrefix + "add_bos_token", !before.empty());
  }

  void write_ends() {
    constexpr std::string_view kKeys[] = {"eos_token_id", "eot_token_id", "eom_token_id"};
    const std::vector<int32_t>& ends = model_.config().eos_token_ids;
    if (ends.size() > std::size(kKeys)) {
      fail_model(model_.name(), "config.eos_token_ids", "at most 3 (GGUF has no more keys)",
                 std::to_string(ends.size()));
    }
    for (size_t i = 0; i < ends.size(); ++i) {
      out_.u32(kPrefix + std::string(kKeys[i]), static_cast<uint32_t>(ends[i]));
    }
    // The end of a turn by its id, where that changes no end of a text.
    const TokenId turn = model_.file().roles[TokenRole::eot];
    if (turn < 0 || ends.size() > 1) return;
    if (ends.empty() || ends[0] != turn) {
      fail_model(model_.name(), "role.eot", "one of config.eos_token_ids (for GGUF it ends a text)",
                 std::to_string(turn));
    }
    out_.u32(kPrefix + "eot_token_id", static_cast<uint32_t>(turn));
  }

  const Model& model_;
  const TokenizerRules& rules_;
  GgufWriter& out_;
  std::vector<std::string> texts_;
  std::vector<int32_t> types_;
};

}  // namespace

void write_gguf_vocabulary(const Model& model, GgufWriter& out) { Writer(model, out).write(); }

}  // namespace gpt2
