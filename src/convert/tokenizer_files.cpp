#include "src/convert/tokenizer_files.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "src/base/error.h"
#include "src/convert/role_key.h"
#include "src/convert/sentencepiece.h"
#include "src/convert/tokenizer_json.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

// The keys of tokenizer_config.json and special_tokens_map.json that name a token for its role; those of a text with a
// gap are Code Llama's.
constexpr RoleKey kRoleKeys[] = {
    {"eot_token", TokenRole::eot},           {"pad_token", TokenRole::pad},
    {"unk_token", TokenRole::unk},           {"prefix_token", TokenRole::fim_prefix},
    {"suffix_token", TokenRole::fim_suffix}, {"middle_token", TokenRole::fim_middle}};

void read_merges_text(std::string_view text, std::string_view file, Vocabulary& vocabulary) {
  vocabulary.merges_file = file;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1 && line.starts_with("#version")) continue;
    if (line.empty() && text.empty()) break;
    check_merge_count(vocabulary, file);
    vocabulary.merges.push_back(split_merge(line, file, "line " + std::to_string(number)));
  }
}

// The ids that `tokenizers` gives added tokens, whatever the files say: the vocabulary's own where it has the text,
// otherwise the next one behind the vocabulary: to the first `n_listed` in their order, then by the ids that the files
// give. A vocabulary with holes has no such next id, and the files' count.
void number_added_tokens(Vocabulary& vocabulary, size_t n_listed) {
  if (vocabulary.added.empty()) return;
  std::unordered_map<std::string, uint32_t> ids;
  uint32_t end = 0;
  for (const auto& [text, id] : vocabulary.tokens) {
    ids.emplace(text, id);
    end = std::max(end, id + 1);
  }
  const bool holes = end != ids.size();
  std::vector<AddedToken*> order;
  for (AddedToken& token : vocabulary.added) order.push_back(&token);
  std::stable_sort(order.begin() + static_cast<std::ptrdiff_t>(n_listed), order.end(),
                   [](auto* a, auto* b) { return a->id < b->id; });
  for (AddedToken* token : order) {
    const auto [given, is_new] = ids.emplace(token->text, holes ? token->id : end);
    if (is_new) ++end;
    if (given->second == token->id) continue;
    vocabulary.warnings.push_back(printable(vocabulary.tokens_file, 400) + ": added token \"" + printable(token->text) +
                                  "\": its id " + std::to_string(token->id) + " is not taken, " +
                                  (is_new ? "the next one behind the vocabulary is " : "the vocabulary has it as ") +
                                  std::to_string(given->second));
    token->id = given->second;
  }
}

// What stands beside the vocabulary: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
class TokenizerConfig {
 public:
  TokenizerConfig(const std::string& directory, Vocabulary& vocabulary)
      : directory_(directory), vocabulary_(vocabulary) {
    config_ = read("tokenizer_config.json");
  }

  // Beside tokenizer.json, or vocab.json and merges.txt.
  void apply(bool has_tokenizer_json) {
    const size_t n_listed = has_tokenizer_json && takes_json() ? vocabulary_.added.size() : 0;
    add_tokens(n_listed);
    set_prefix_space(has_tokenizer_json);
    if (!has_tokenizer_json) set_before_text(is_true(config_.find("add_bos_token")), std::string(kEndOfText));
  }

  // Beside tokenizer.model, whose piece `bos` stands before a text unless add_bos_token is false, as the classes that
  // read such models have it.
  void apply_pieces(const std::string& bos) {
    const size_t n_pieces = vocabulary_.added.size();
    add_tokens(n_pieces);
    const Json *prefix = config_.find("add_prefix_space"), *legacy = config_.find("legacy");
    TokenizerRules& rules = vocabulary_.rules;
    if (!is_absent(prefix) && !is_true(prefix)) rules.prefix_space = PrefixSpace::none;
    // "legacy": each stretch between added tokens is a text of its own to SentencePiece.
    const bool stretches = is_absent(legacy) || is_true(legacy);
    if (rules.prefix_space != PrefixSpace::none && stretches) rules.prefix_space = PrefixSpace::stretch;
    const Json* wanted = config_.find("add_bos_token");
    if (is_absent(wanted) && !vocabulary_id(bos)) return;
    set_before_text(is_absent(wanted) || is_true(wanted), bos);
  }

 private:
  // Whether tokenizer.json is taken as it is; other classes build their own from its vocabulary.
  bool takes_json() const {
    const Json* type = config_.find("tokenizer_class");
    return type != nullptr && (type->string == "PreTrainedTokenizerFast" || type->string == "TokenizersBackend");
  }

  std::string path(const char* name) const { return directory_ + "/" + name; }

  // The first `n_listed` added tokens are numbered in their order.
  void add_tokens(size_t n_listed) {
    read_decoder();
    if (!has_decoder_) read_added_tokens_json();
    read_roles();
    number_added_tokens(vocabulary_, n_listed);
    for (const auto& [role, text] : role_texts_) {
      if (const AddedToken* token = find_added(text)) vocabulary_.roles[role] = static_cast<TokenId>(token->id);
    }
  }

  // An empty object where the file is not there.
  Json read(const char* name) const {
    Json json;
    json.kind = Json::Kind::object;
    if (!file_exists(path(name))) return json;
    json = parse_json(read_text_file(path(name), kMaxTokenizerBytes), path(name));
    if (json.kind != Json::Kind::object) fail_model(path(name), "tokenizer", "an object", json.describe());
    return json;
  }

  AddedToken* find_added(std::string_view text) {
    for (AddedToken& token : vocabulary_.added) {
      if (token.text == text) return &token;
    }
    return nullptr;
  }

  // {"ID": {"content": ..., flags}, ...}
  void read_decoder() {
    const Json* decoder = config_.find("added_tokens_decoder");
    if (is_absent(decoder)) return;
    has_decoder_ = true;
    const std::string file = path("tokenizer_config.json");
    for (const auto& [key, token, place] : decoder->object) {
      const std::string item = "added_tokens_decoder." + key;
      uint32_t id = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size())
        fail_model(file, item, "a token id", "\"" + key + "\"");
      const Json* content = token.find("content");
      if (content == nullptr || content->kind != Json::Kind::string)
        fail_model(file, item, "an object with content", token.describe());
      AddedToken added = read_flags(token, file, item);
      added.text = content->string;
      added.id = id;
      if (AddedToken* known = find_added(added.text)) {
        if (takes_json()) added.id = known->id;
        if (is_user_defined(*known)) {
          known->special = added.special;
        } else {
          *known = std::move(added);
        }
      } else {
        vocabulary_.added.push_back(std::move(added));
      }
    }
  }

  // A piece of SentencePiece's: it is looked for where its kind is, whatever flags the file gives it.
  bool is_user_defined(const AddedToken& token) const {
    return !vocabulary_.merge_ranks.empty() && token.normalized && !token.special;
  }

  // {"text": id, ...}, special only where a role names them.
  void read_added_tokens_json() {
    const std::string file = path("added_tokens.json");
    for (const auto& [text, id, place] : read("added_tokens.json").object) {
      const uint32_t number = token_id(id, file, "token \"" + text + "\"");
      if (find_added(text) != nullptr) continue;
      vocabulary_.added.push_back({text, number, false, false, false, false, true});
      from_added_json_.push_back(text);
    }
  }

  // Tokens that are named for what they do.
  void read_roles() {
    for (const auto& [key, value, place] : config_.object) read_role(key, value, "tokenizer_config.json");
    if (has_decoder_) return;
    for (const auto& [key, value, place] : read("special_tokens_map.json").object)
      read_role(key, value, "special_tokens_map.json");
  }

  void read_role(const std::string& key, const Json& value, const char* file) {
    const bool several = key == "additional_special_tokens" || key == "extra_special_tokens";
    if (several) {
      for (const Json& token : value.array) make_special(key, token, file);
      for (const auto& [name, token, place] : value.object) make_special(key, token, file);
    } else if (key.ends_with("_token")) {
      make_special(key, value, file);
    }
  }

  void make_special(const std::string& role, const Json& value, const char* file) {
    const Json* content = value.kind == Json::Kind::object ? value.find("content") : &value;
    if (content == nullptr || content->kind != Json::Kind::string || content->string.empty()) return;
    for (const RoleKey& key : kRoleKeys) {
      if (key.name == role) role_texts_.emplace(key.role, content->string);
    }
    if (AddedToken* known = find_added(content->string)) {
      if (std::find(from_added_json_.begin(), from_added_json_.end(), known->text) != from_added_json_.end())
        known->normalized = false;
      known->special = true;
      return;
    }
    AddedToken added = value.kind == Json::Kind::object ? read_flags(value, path(file), role) : AddedToken{};
    added.text = content->string;
    added.special = true;
    if (value.find("normalized") == nullptr) added.normalized = false;
    added.id = vocabulary_id(added.text).value_or(next_id());
    vocabulary_.added.push_back(std::move(added));
  }

  std::optional<uint32_t> vocabulary_id(std::string_view text) const {
    for (const auto& [token, id] : vocabulary_.tokens) {
      if (token == text) return id;
    }
    return std::nullopt;
  }

  // What `tokenizers` gives a token that no file gives an id: the next one.
  uint32_t next_id() const {
    uint32_t next = 0;
    for (const auto& [token, id] : vocabulary_.tokens) next = std::max(next, id + 1);
    for (const AddedToken& token : vocabulary_.added) next = std::max(next, token.id + 1);
    return next;
  }

  void set_prefix_space(bool has_tokenizer_json) {
    TokenizerRules& rules = vocabulary_.rules;
    // transformers changes a lone ByteLevel only
    if (rules.split != SplitRule::gpt2 || rules.symbols == Symbols::characters) return;
    const Json* prefix = config_.find("add_prefix_space");
    if (!is_absent(prefix) && prefix->kind != Json::Kind::boolean) {
      fail_model(path("tokenizer_config.json"), "add_prefix_space", "true or false", prefix->describe());
    }
    if (has_tokenizer_json && takes_json()) return;
    const PrefixSpace wanted = is_true(prefix) ? PrefixSpace::unspaced : PrefixSpace::none;
    const PrefixSpace found = std::exchange(rules.prefix_space, wanted);
    if (!has_tokenizer_json || found == wanted) return;
    vocabulary_.warnings.push_back(printable(path("tokenizer.json"), 400) + ": pre_tokenizer.add_prefix_space is " +
                                   std::string(name_of(found)) +
                                   " and not taken: tokenizer_config.json's counts, as in transformers");
  }

  // `otherwise`: the token where the file names none.
  void set_before_text(bool wanted, const std::string& otherwise) {
    const std::string file = path("tokenizer_config.json");
    if (is_true(config_.find("add_eos_token"))) fail_model(file, "add_eos_token", "false", "true");
    if (!wanted) return;
    const Json* bos = config_.find("bos_token");
    const Json* content = bos == nullptr || bos->kind != Json::Kind::object ? bos : bos->find("content");
    const std::string text = is_absent(content) ? otherwise : content->string;
    const AddedToken* added = find_added(text);
    const auto id = added != nullptr ? std::optional(added->id) : vocabulary_id(text);
    if (!id) fail_model(file, "add_bos_token", "a bos_token of the vocabulary", "\"" + text + "\"");
    vocabulary_.rules.before_text = {static_cast<TokenId>(*id)};
  }

  std::string directory_;
  Vocabulary& vocabulary_;
  Json config_;
  bool has_decoder_ = false;
  std::map<TokenRole, std::string> role_texts_;  // the first file's that names it
  std::vector<std::string> from_added_json_;
};

void add_end_of_text(Vocabulary& vocabulary) {
  for (const AddedToken& token : vocabulary.added) {
    if (token.text == kEndOfText) return;
  }
  for (const auto& [text, id] : vocabulary.tokens) {
    if (text == kEndOfText) vocabulary.added.push_back({text, id, true});
  }
}

[[noreturn]] void fail_without_tokenizer(const std::string& directory) {
  std::string found = "none of them";
  if (file_exists(directory + "/vocab.txt")) found = "vocab.txt, a vocabulary of BERT's WordPiece";
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (file_exists(directory + "/" + name)) found = std::string(name) + ", which is no BPE model of SentencePiece";
  }
  fail_model(directory, "tokenizer", "tokenizer.model, tokenizer.json, or vocab.json and merges.txt", found);
}

// tokenizer.model's bytes, if it is there and SentencePiece's; other programs' files have that name too.
std::optional<std::string> read_pieces_file(const std::string& path) {
  if (!file_exists(path)) return std::nullopt;
  std::string bytes = read_text_file(path, kMaxTokenizerBytes);
  return looks_like_sentencepiece(bytes) ? std::optional(std::move(bytes)) : std::nullopt;
}

Vocabulary read_pieces(const std::string& bytes, const std::string& path, const std::string& directory) {
  const SentencePieceModel model = parse_sentencepiece(bytes, path);
  Vocabulary vocabulary =
      vocabulary_of_pieces(model.pieces, model.add_dummy_prefix ? PrefixSpace::text : PrefixSpace::none, path);
  TokenizerConfig(directory, vocabulary).apply_pieces(model.bos_piece);
  return vocabulary;
}

}  // namespace

Vocabulary read_vocabulary(const std::string& directory) {
  const std::string vocab = directory + "/vocab.json", merges = directory + "/merges.txt",
                    tokenizer = directory + "/tokenizer.json", pieces = directory + "/tokenizer.model";
  Vocabulary vocabulary;
  if (const std::optional<std::string> bytes = read_pieces_file(pieces)) {
    vocabulary = read_pieces(*bytes, pieces, directory);
  } else if (file_exists(tokenizer)) {
    read_tokenizer_json(tokenizer, vocabulary);
    TokenizerConfig(directory, vocabulary).apply(true);
  } else if (file_exists(vocab) && file_exists(merges)) {
    read_tokens(parse_json(read_text_file(vocab, kMaxTokenizerBytes), vocab), vocab, vocabulary);
    read_merges_text(read_text_file(merges, kMaxTokenizerBytes), merges, vocabulary);
    TokenizerConfig(directory, vocabulary).apply(false);
  } else {
    fail_without_tokenizer(directory);
  }
  add_end_of_text(vocabulary);
  return vocabulary;
}

}  // namespace gpt2
