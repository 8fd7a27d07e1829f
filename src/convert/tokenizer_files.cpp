#include "src/convert/tokenizer_files.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "src/base/error.h"
#include "src/convert/tokenizer_steps.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxFileBytes = 64u << 20;
constexpr std::string_view kEndOfText = "<|endoftext|>";

uint32_t token_id(const Json& value, std::string_view file, const std::string& item) {
  if (value.kind != Json::Kind::integer || value.integer < 0 || value.integer > INT32_MAX) {
    fail_model(file, item, "a token id", value.describe());
  }
  return static_cast<uint32_t>(value.integer);
}

void read_tokens(const Json& vocab, std::string_view file, Vocabulary& vocabulary) {
  if (vocab.kind != Json::Kind::object) fail_model(file, "vocabulary", "an object of tokens and ids", vocab.describe());
  vocabulary.tokens_file = file;
  for (const auto& [token, id, place] : vocab.object) {
    vocabulary.tokens.emplace_back(token, token_id(id, file, "token \"" + token + "\""));
  }
}

// "left right": exactly one space between two non-empty parts.
std::pair<std::string, std::string> split_merge(std::string_view line, std::string_view file, const std::string& item) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    fail_model(file, item, "two tokens and one space", "\"" + std::string(line) + "\"");
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

// A merge makes a token of the vocabulary, and a token has few ways to be made (two, in the largest that are
// published).
void check_merge_count(const Vocabulary& vocabulary, std::string_view file) {
  const size_t most = 16 * (vocabulary.tokens.size() + 16);
  if (vocabulary.merges.size() < most) return;
  fail_model(file, "merges",
             "at most " + std::to_string(most) + " for " + std::to_string(vocabulary.tokens.size()) + " tokens",
             "more");
}

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

// An error unless the member is absent, null, or one of the values that mean "nothing".
void require_inert(const Json& object, std::string_view key, std::string_view file, const std::string& item) {
  const Json* value = object.find(key);
  if (value == nullptr || value->kind == Json::Kind::null) return;
  const bool inert = (value->kind == Json::Kind::boolean && !value->boolean) ||
                     (value->kind == Json::Kind::string && value->string.empty());
  if (!inert) fail_model(file, item + "." + std::string(key), "null, false or empty", value->describe());
}

// Whether every byte is a token.
bool has_all_bytes(const Vocabulary& vocabulary) {
  std::set<std::string, std::less<>> missing;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    missing.insert(to_byte_alphabet({&c, 1}));
  }
  for (const auto& [token, id] : vocabulary.tokens) missing.erase(token);
  return missing.empty();
}

// special, lstrip, rstrip, single_word and normalized of an added token, all false where they are
// absent, but that what is not special is normalized.
AddedToken read_flags(const Json& token, std::string_view file, const std::string& item) {
  AddedToken added;
  const auto flag = [&](const char* key, bool otherwise) {
    const Json* value = token.find(key);
    if (value == nullptr || value->kind == Json::Kind::null) return otherwise;
    if (value->kind != Json::Kind::boolean) fail_model(file, item + "." + key, "true or false", value->describe());
    return value->boolean;
  };
  added.special = flag("special", false);
  added.lstrip = flag("lstrip", false);
  added.rstrip = flag("rstrip", false);
  added.single_word = flag("single_word", false);
  added.normalized = flag("normalized", !added.special);
  return added;
}

bool is_true(const Json* value) { return value != nullptr && value->kind == Json::Kind::boolean && value->boolean; }

bool is_absent(const Json* value) { return value == nullptr || value->kind == Json::Kind::null; }

// Reads tokenizer.json.
class TokenizerJson {
 public:
  TokenizerJson(const std::string& path, Vocabulary& vocabulary)
      : path_(path), json_(parse_json(read_text_file(path, kMaxFileBytes), path)), vocabulary_(vocabulary) {
    const Json* model = json_.find("model");
    if (model == nullptr || model->kind != Json::Kind::object) {
      fail_model(path_, "model", "an object", model == nullptr ? "none" : model->describe());
    }
    if (const Json* type = model->find("type"); type != nullptr && type->string != "BPE") {
      fail_model(path_, "model.type", "\"BPE\"", type->describe());
    }
    read_steps();
    read_model(*model);
    if (const Json* added = json_.find("added_tokens")) {
      for (size_t i = 0; i < added->array.size(); ++i) read_added_token(added->array[i], i);
    }
    read_template();
  }

  bool prefix_space() const noexcept { return vocabulary_.rules.prefix_space; }

 private:
  void read_steps() {
    read_normalizer(json_, path_, vocabulary_.rules);
    read_pre_tokenizer(json_, path_, vocabulary_.rules);
    const Json* decoder = json_.find("decoder");
    if (!is_absent(decoder) && !is_type(*decoder, "ByteLevel")) {
      const Json* type = decoder->find("type");
      fail_model(path_, "decoder", "ByteLevel", type == nullptr ? decoder->describe() : type->describe());
    }
  }

  void read_model(const Json& model) {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
      require_inert(model, key, path_, "model");
    }
    const Json* whole_pieces = model.find("ignore_merges");
    if (!is_absent(whole_pieces) && whole_pieces->kind != Json::Kind::boolean) {
      fail_model(path_, "model.ignore_merges", "true or false", whole_pieces->describe());
    }
    vocabulary_.rules.ignore_merges = is_true(whole_pieces);
    if (const Json* dropout = model.find("dropout");
        !is_absent(dropout) && !(dropout->kind == Json::Kind::integer && dropout->integer == 0) &&
        !(dropout->kind == Json::Kind::real && dropout->real == 0)) {
      fail_model(path_, "model.dropout", "none", dropout->describe());
    }
    const Json* vocab = model.find("vocab");
    if (vocab == nullptr) fail_model(path_, "model.vocab", "an object", "none");
    read_tokens(*vocab, path_, vocabulary_);
    // An unknown token is used for bytes that the vocabulary lacks.
    if (!has_all_bytes(vocabulary_)) require_inert(model, "unk_token", path_, "model");
    const Json* merges = model.find("merges");
    if (merges == nullptr || merges->kind != Json::Kind::array) {
      fail_model(path_, "model.merges", "an array", merges == nullptr ? "none" : merges->describe());
    }
    vocabulary_.merges_file = path_;
    for (size_t i = 0; i < merges->array.size(); ++i) {
      const Json& merge = merges->array[i];
      const std::string item = "model.merges[" + std::to_string(i) + "]";
      if (merge.kind == Json::Kind::string) {
        vocabulary_.merges.push_back(split_merge(merge.string, path_, item));
      } else if (merge.array.size() == 2 && !merge.array[0].string.empty() && !merge.array[1].string.empty()) {
        vocabulary_.merges.emplace_back(merge.array[0].string, merge.array[1].string);
      } else {
        fail_model(path_, item, "\"left right\" or [\"left\", \"right\"]", merge.describe());
      }
    }
  }

  void read_added_token(const Json& token, size_t index) {
    const std::string item = "added_tokens[" + std::to_string(index) + "]";
    const Json* id = token.find("id");
    const Json* content = token.find("content");
    if (id == nullptr || content == nullptr || content->kind != Json::Kind::string) {
      fail_model(path_, item, "an object with id and content", token.describe());
    }
    AddedToken added = read_flags(token, path_, item);
    added.text = content->string;
    added.id = token_id(*id, path_, item + ".id");
    vocabulary_.added.push_back(std::move(added));
  }

  // What a post-processor puts before a text. ByteLevel as a post-processor changes offsets only.
  void read_template() {
    const Json* post = json_.find("post_processor");
    if (is_absent(post)) return;
    for (const Json* step : steps_of(*post, "processors")) {
      if (is_type(*step, "ByteLevel")) continue;
      if (!is_type(*step, "TemplateProcessing")) {
        const Json* type = step->find("type");
        fail_model(path_, "post_processor", "ByteLevel or TemplateProcessing",
                   type == nullptr ? step->describe() : type->describe());
      }
      const Json* single = step->find("single");
      if (single == nullptr || single->kind != Json::Kind::array) {
        fail_model(path_, "post_processor.single", "an array", single == nullptr ? "none" : single->describe());
      }
      read_single(*single, *step);
    }
  }

  void read_single(const Json& single, const Json& step) {
    bool text_seen = false;
    for (size_t i = 0; i < single.array.size(); ++i) {
      const std::string item = "post_processor.single[" + std::to_string(i) + "]";
      const Json* sequence = single.array[i].find("Sequence");
      const Json* special = single.array[i].find("SpecialToken");
      if (sequence != nullptr && !text_seen) {
        text_seen = true;
        continue;
      }
      const Json* name = special == nullptr ? nullptr : special->find("id");
      if (name == nullptr || text_seen) {
        fail_model(path_, item, "special tokens before the text and nothing behind it",
                   name == nullptr ? single.array[i].describe() : name->describe() + " behind it");
      }
      const Json* tokens = step.find("special_tokens");
      const Json* token = tokens == nullptr ? nullptr : tokens->find(name->string);
      const Json* ids = token == nullptr ? nullptr : token->find("ids");
      if (ids == nullptr || ids->array.empty())
        fail_model(path_, item, "a token of post_processor.special_tokens", name->describe());
      for (const Json& id : ids->array)
        vocabulary_.rules.before_text.push_back(static_cast<TokenId>(token_id(id, path_, item)));
    }
    if (!text_seen) fail_model(path_, "post_processor.single", "the text", "none");
  }

  std::string path_;
  Json json_;
  Vocabulary& vocabulary_;
};

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

  void apply(bool has_tokenizer_json, bool json_prefix_space) {
    const size_t n_listed = has_tokenizer_json && takes_json() ? vocabulary_.added.size() : 0;
    read_decoder();
    if (!has_decoder_) read_added_tokens_json();
    read_roles();
    set_prefix_space(has_tokenizer_json, json_prefix_space);
    number_added_tokens(vocabulary_, n_listed);
    if (!has_tokenizer_json) set_before_text();
  }

 private:
  // Whether tokenizer.json is taken as it is; other classes build their own from its vocabulary.
  bool takes_json() const {
    const Json* type = config_.find("tokenizer_class");
    return type != nullptr && (type->string == "PreTrainedTokenizerFast" || type->string == "TokenizersBackend");
  }

  std::string path(const char* name) const { return directory_ + "/" + name; }

  // An empty object where the file is not there.
  Json read(const char* name) const {
    Json json;
    json.kind = Json::Kind::object;
    if (!file_exists(path(name))) return json;
    json = parse_json(read_text_file(path(name), kMaxFileBytes), path(name));
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
        *known = std::move(added);
      } else {
        vocabulary_.added.push_back(std::move(added));
      }
    }
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

  void set_prefix_space(bool has_tokenizer_json, bool json_prefix_space) {
    if (vocabulary_.rules.split != SplitRule::gpt2) return;  // transformers changes a lone ByteLevel only
    const Json* prefix = config_.find("add_prefix_space");
    if (!is_absent(prefix) && prefix->kind != Json::Kind::boolean) {
      fail_model(path("tokenizer_config.json"), "add_prefix_space", "true or false", prefix->describe());
    }
    vocabulary_.rules.prefix_space = has_tokenizer_json && takes_json() ? json_prefix_space : is_true(prefix);
    if (has_tokenizer_json && json_prefix_space != vocabulary_.rules.prefix_space) {
      vocabulary_.warnings.push_back(printable(path("tokenizer.json"), 400) + ": pre_tokenizer.add_prefix_space is " +
                                     (json_prefix_space ? "true" : "false") +
                                     " and not taken: tokenizer_config.json's counts, as in transformers");
    }
  }

  void set_before_text() {
    const std::string file = path("tokenizer_config.json");
    if (is_true(config_.find("add_eos_token"))) fail_model(file, "add_eos_token", "false", "true");
    if (!is_true(config_.find("add_bos_token"))) return;
    const Json* bos = config_.find("bos_token");
    const Json* content = bos == nullptr || bos->kind != Json::Kind::object ? bos : bos->find("content");
    const std::string text = is_absent(content) ? std::string(kEndOfText) : content->string;
    const AddedToken* added = find_added(text);
    const auto id = added != nullptr ? std::optional(added->id) : vocabulary_id(text);
    if (!id) fail_model(file, "add_bos_token", "a bos_token of the vocabulary", "\"" + text + "\"");
    vocabulary_.rules.before_text = {static_cast<TokenId>(*id)};
  }

  std::string directory_;
  Vocabulary& vocabulary_;
  Json config_;
  bool has_decoder_ = false;
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
  std::string found = "neither";
  if (file_exists(directory + "/vocab.txt")) found = "vocab.txt, a vocabulary of BERT's WordPiece";
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (file_exists(directory + "/" + name)) found = std::string(name) + ", a SentencePiece model";
  }
  fail_model(directory, "tokenizer", "tokenizer.json, or vocab.json and merges.txt", found);
}

}  // namespace

Vocabulary read_vocabulary(const std::string& directory) {
  const std::string vocab = directory + "/vocab.json", merges = directory + "/merges.txt",
                    tokenizer = directory + "/tokenizer.json";
  Vocabulary vocabulary;
  const bool whole = file_exists(tokenizer);
  bool prefix_space = false;
  if (whole) {
    prefix_space = TokenizerJson(tokenizer, vocabulary).prefix_space();
  } else if (file_exists(vocab) && file_exists(merges)) {
    read_tokens(parse_json(read_text_file(vocab, kMaxFileBytes), vocab), vocab, vocabulary);
    read_merges_text(read_text_file(merges, kMaxFileBytes), merges, vocabulary);
  } else {
    fail_without_tokenizer(directory);
  }
  TokenizerConfig(directory, vocabulary).apply(whole, prefix_space);
  add_end_of_text(vocabulary);
  return vocabulary;
}

}  // namespace gpt2
