#include "src/convert/gguf_tokenizer.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "src/base/error.h"
#include "src/convert/chat_template_file.h"
#include "src/convert/role_key.h"
#include "src/convert/warnings.h"
#include "src/text/pieces.h"

namespace gpt2 {
namespace {

constexpr std::string_view kModel = "tokenizer.ggml.model", kPre = "tokenizer.ggml.pre",
                           kTokens = "tokenizer.ggml.tokens", kTypes = "tokenizer.ggml.token_type",
                           kScores = "tokenizer.ggml.scores", kMerges = "tokenizer.ggml.merges",
                           kBos = "tokenizer.ggml.bos_token_id",
                           kAddBos = "tokenizer.ggml.add_bos_token", kAddEos = "tokenizer.ggml.add_eos_token",
                           kAddSpace = "tokenizer.ggml.add_space_prefix";
// The later name of a key counts.
constexpr RoleKey kRoleKeys[] = {{"eot_token_id", TokenRole::eot},
                                 {"padding_token_id", TokenRole::pad},
                                 {"unknown_token_id", TokenRole::unk},
                                 {"prefix_token_id", TokenRole::fim_prefix},
                                 {"suffix_token_id", TokenRole::fim_suffix},
                                 {"middle_token_id", TokenRole::fim_middle},
                                 {"fim_pre_token_id", TokenRole::fim_prefix},
                                 {"fim_suf_token_id", TokenRole::fim_suffix},
                                 {"fim_mid_token_id", TokenRole::fim_middle},
                                 {"fim_pad_token_id", TokenRole::fim_pad}};
constexpr std::string_view kChatTemplate = "tokenizer.chat_template";
constexpr std::string_view kEndOfText = "<|endoftext|>";

enum TokenType : int64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// How the tokenizers cut texts whose names tokenizer.ggml.pre has; of several that do the same the first is written.
struct Pre {
  std::string_view name;
  SplitRule split;
  bool nfc = false;
  bool whole_pieces = false;  // ignore_merges, and a token before every text
};
constexpr Pre kPres[] = {
    {"gpt-2", SplitRule::gpt2},
    {"gpt2", SplitRule::gpt2},
    {"phi-2", SplitRule::gpt2},
    {"mpt", SplitRule::gpt2},
    {"olmo", SplitRule::gpt2},
    {"jais", SplitRule::gpt2},
    {"roberta-bpe", SplitRule::gpt2},
    {"starcoder", SplitRule::gpt2_digits},
    {"refact", SplitRule::gpt2_digits},
    {"command-r", SplitRule::gpt2_digits},
    {"smollm", SplitRule::gpt2_digits},
    {"codeshell", SplitRule::gpt2_digits},
    {"exaone", SplitRule::gpt2_digits},
    {"minerva-7b", SplitRule::gpt2_digits},
    {"llama-bpe", SplitRule::llama3, false, true},
    {"llama3", SplitRule::llama3, false, true},
    {"llama-v3", SplitRule::llama3, false, true},
    {"dbrx", SplitRule::llama3},
    {"smaug-bpe", SplitRule::llama3},
    {"qwen2", SplitRule::qwen2, true},
    {"deepseek-r1-qwen", SplitRule::qwen2, true},
    {"stablelm2", SplitRule::qwen2},
};

// What a file without the name means: those of the first year have none.
std::optional<std::string_view> usual_pre(std::string_view architecture) {
  if (architecture == "gpt2" || architecture == "gptneox" || architecture == "phi2") return "gpt-2";
  if (architecture == "starcoder") return "starcoder";
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(const GgufFile& gguf) : gguf_(gguf) {
    v_.tokens_file = std::string(gguf.path());
    v_.merges_file = v_.tokens_file;
  }

  Vocabulary read() {
    Vocabulary vocabulary = read_vocabulary();
    for (const RoleKey& key : kRoleKeys) {
      const auto id = gguf_.integer("tokenizer.ggml." + std::string(key.name));
      if (id && *id < n_tokens_) vocabulary.roles[key.role] = static_cast<TokenId>(*id);
    }
    return vocabulary;
  }

 private:
  Vocabulary read_vocabulary() {
    const auto model = gguf_.string(kModel);
    if (model == "llama") return read_pieces();
    if (model != "gpt2") {
      fail_model(gguf_.path(), kModel, "\"gpt2\" (byte-level BPE) or \"llama\" (SentencePiece's BPE)",
                 model ? "\"" + std::string(*model) + "\"" : "none: the file has no tokenizer");
    }
    read_tokens();
    read_merges();
    read_pre();
    read_before_text(v_.rules.ignore_merges);
    return std::move(v_);
  }

  // A SentencePiece model: its pieces carry scores, and stand behind a token that begins texts where nothing else is
  // said.
  Vocabulary read_pieces() {
    const auto texts = read_texts();
    const auto types = read_types();
    const auto scores = gguf_.floats(kScores);
    if (!types) fail_model(gguf_.path(), kTypes, "the types of the pieces", "none");
    if (!scores || scores->size() != n_tokens_) {
      fail_model(gguf_.path(), kScores, std::to_string(n_tokens_) + " scores, as many as tokens",
                 scores ? std::to_string(scores->size()) : "none");
    }
    std::vector<Piece> pieces(n_tokens_);
    for (size_t id = 0; id < n_tokens_; ++id) {
      pieces[id] = {std::string(texts[id]), (*scores)[id], static_cast<PieceType>((*types)[id])};
    }
    const bool space = gguf_.boolean(kAddSpace).value_or(true);
    v_ = vocabulary_of_pieces(pieces, space ? PrefixSpace::stretch : PrefixSpace::none, std::string(gguf_.path()));
    read_before_text(true);
    return std::move(v_);
  }

  std::vector<std::string_view> read_texts() {
    auto texts = gguf_.strings(kTokens);
    if (!texts) fail_model(gguf_.path(), kTokens, "an array of strings", "none");
    if (texts->empty()) fail_model(gguf_.path(), kTokens, "at least one token", "none");
    n_tokens_ = texts->size();
    return std::move(*texts);
  }

  std::optional<std::vector<int64_t>> read_types() const {
    auto types = gguf_.integers(kTypes);
    if (!types) return types;
    if (types->size() != n_tokens_) {
      fail_model(gguf_.path(), kTypes, std::to_string(n_tokens_) + " types, as many as tokens",
                 std::to_string(types->size()));
    }
    for (size_t id = 0; id < types->size(); ++id) {
      const int64_t type = (*types)[id];
      if (type >= kNormal && type <= kByte) continue;
      fail_model(gguf_.path(), kTypes, "types from 1 to 6", std::to_string(type) + " of token " + std::to_string(id));
    }
    return types;
  }

  void read_tokens() {
    const auto texts = read_texts();
    const auto types = read_types();
    std::unordered_set<std::string_view> seen;
    std::vector<std::string> twice;
    for (uint32_t id = 0; id < n_tokens_; ++id) {
      const int64_t type = types ? (*types)[id] : texts[id] == kEndOfText ? int64_t{kControl} : int64_t{kNormal};
      take(texts[id], id, static_cast<TokenType>(type), seen, twice);
    }
    add_first_few(v_.warnings, twice, "tokens that are there twice");
  }

  void take(std::string_view text, uint32_t id, TokenType type, std::unordered_set<std::string_view>& seen,
            std::vector<std::string>& twice) {
    if (type == kUnused) return;
    if (!seen.insert(text).second) {
      twice.push_back(printable(gguf_.path(), 400) + ": token " + std::to_string(id) + " \"" + printable(text) +
                      "\" left out: another has its text");
      return;
    }
    if (type == kNormal || type == kByte) {
      v_.tokens.emplace_back(text, id);
      return;
    }
    AddedToken token;
    token.text = text;
    token.id = id;
    token.special = type != kUserDefined;
    v_.added.push_back(std::move(token));
  }

  void read_merges() {
    const auto merges = gguf_.strings(kMerges);
    if (!merges) fail_model(gguf_.path(), kMerges, "an array of strings", "none");
    v_.merges.reserve(merges->size());
    for (size_t i = 0; i < merges->size(); ++i) {
      const std::string_view merge = (*merges)[i];
      const size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == merge.size()) {
        fail_model(gguf_.path(), std::string(kMerges) + " " + std::to_string(i), "two tokens and a space",
                   "\"" + std::string(merge) + "\"");
      }
      v_.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
  }

  void read_pre() {
    auto name = gguf_.string(kPre);
    if (!name || *name == "default") {
      const auto usual = usual_pre(gguf_.string("general.architecture").value_or(""));
      if (usual) {
        v_.warnings.push_back(printable(gguf_.path(), 400) + ": " + std::string(kPre) + " is " +
                              (name ? "\"default\"" : "missing") + ": texts are cut as \"" + std::string(*usual) +
                              "\" does");
      }
      if (usual) name = usual;
    }
    const auto found = std::find_if(std::begin(kPres), std::end(kPres), [&](const Pre& p) { return p.name == name; });
    if (found == std::end(kPres)) {
      std::string names;
      for (const Pre& pre : kPres) names += (names.empty() ? "" : ", ") + std::string(pre.name);
      fail_model(gguf_.path(), kPre, names,
                 name ? "\"" + std::string(*name) + "\"" : "none (an older file: convert its model anew)");
    }
    v_.rules.split = found->split;
    v_.rules.nfc = found->nfc;
    v_.rules.ignore_merges = found->whole_pieces;
    if (gguf_.boolean(kAddSpace).value_or(false)) v_.rules.prefix_space = PrefixSpace::unspaced;
  }

  void read_before_text(bool usual) {
    if (gguf_.boolean(kAddEos).value_or(false)) fail_model(gguf_.path(), kAddEos, "false", "true");
    if (!gguf_.boolean(kAddBos).value_or(usual)) return;
    const auto bos = gguf_.integer(kBos);
    if (!bos || *bos >= n_tokens_) {
      fail_model(gguf_.path(), kBos, "a token's id, for it stands before every text",
                 bos ? std::to_string(*bos) : "none");
    }
    v_.rules.before_text = {static_cast<TokenId>(*bos)};
  }

  const GgufFile& gguf_;
  Vocabulary v_;
  uint64_t n_tokens_ = 0;
};

}  // namespace

Vocabulary read_gguf_vocabulary(const GgufFile& gguf) { return Reader(gguf).read(); }

std::optional<std::string_view> gguf_pre_of(const TokenizerRules& rules) {
  for (const Pre& pre : kPres) {
    if (pre.split == rules.split && pre.nfc == rules.nfc && pre.whole_pieces == rules.ignore_merges) return pre.name;
  }
  return std::nullopt;
}

std::string read_gguf_chat_template(const GgufFile& gguf, std::vector<std::string>& warnings) {
  return stored_chat_template(std::string(gguf.string(kChatTemplate).value_or("")),
                              std::string(gguf.path()) + " " + std::string(kChatTemplate), warnings);
}

}  // namespace gpt2
