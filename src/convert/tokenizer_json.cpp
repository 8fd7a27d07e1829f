#include "src/convert/tokenizer_json.h"

#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/convert/tokenizer_steps.h"
#include "src/io/checkpoint.h"

namespace gpt2 {
namespace {

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

// Reads tokenizer.json.
class TokenizerJson {
 public:
  TokenizerJson(const std::string& path, Vocabulary& vocabulary)
      : path_(path), json_(parse_json(read_text_file(path, kMaxTokenizerBytes), path)), vocabulary_(vocabulary) {
    const Json* model = json_.find("model");
    if (model == nullptr || model->kind != Json::Kind::object) {
      fail_model(path_, "model", "an object", model == nullptr ? "none" : model->describe());
    }
    if (const Json* type = model->find("type"); type != nullptr && type->string != "BPE") {
      fail_model(path_, "model.type", "\"BPE\"", type->describe());
    }
    read_steps(json_, path_, vocabulary_.rules);
    read_model(*model);
    if (const Json* added = json_.find("added_tokens")) {
      for (size_t i = 0; i < added->array.size(); ++i) read_added_token(added->array[i], i);
    }
    read_template();
  }

 private:
  void read_model(const Json& model) {
    const bool characters = vocabulary_.rules.symbols == Symbols::characters;
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      require_inert(model, key, path_, "model");
    if (!characters) require_inert(model, "byte_fallback", path_, "model");
    vocabulary_.byte_fallback = characters && read_flag(model, "byte_fallback");
    vocabulary_.rules.fuse_unknown = characters && read_flag(model, "fuse_unk");
    vocabulary_.rules.ignore_merges = read_flag(model, "ignore_merges");
    if (const Json* dropout = model.find("dropout");
        !is_absent(dropout) && !(dropout->kind == Json::Kind::integer && dropout->integer == 0) &&
        !(dropout->kind == Json::Kind::real && dropout->real == 0)) {
      fail_model(path_, "model.dropout", "none", dropout->describe());
    }
    const Json* vocab = model.find("vocab");
    if (vocab == nullptr) fail_model(path_, "model.vocab", "an object", "none");
    read_tokens(*vocab, path_, vocabulary_);
    // An unknown token is used for bytes that the vocabulary lacks.
    if (characters) {
      read_unknown(model);
    } else if (!has_all_bytes(vocabulary_)) {
      require_inert(model, "unk_token", path_, "model");
    }
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

  bool read_flag(const Json& model, const char* key) const {
    const Json* value = model.find(key);
    if (!is_absent(value) && value->kind != Json::Kind::boolean) {
      fail_model(path_, std::string("model.") + key, "true or false", value->describe());
    }
    return is_true(value);
  }

  void read_unknown(const Json& model) {
    const Json* token = model.find("unk_token");
    if (is_absent(token)) return;
    for (const auto& [text, id] : vocabulary_.tokens) {
      if (token->kind != Json::Kind::string || text != token->string) continue;
      vocabulary_.rules.unknown = static_cast<TokenId>(id);
    }
    if (vocabulary_.rules.unknown < 0) {
      fail_model(path_, "model.unk_token", "a token of the vocabulary", token->describe());
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

}  // namespace

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

std::pair<std::string, std::string> split_merge(std::string_view line, std::string_view file, const std::string& item) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    fail_model(file, item, "two tokens and one space", "\"" + std::string(line) + "\"");
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

void check_merge_count(const Vocabulary& vocabulary, std::string_view file) {
  const size_t most = 16 * (vocabulary.tokens.size() + 16);
  if (vocabulary.merges.size() < most) return;
  fail_model(file, "merges",
             "at most " + std::to_string(most) + " for " + std::to_string(vocabulary.tokens.size()) + " tokens",
             "more");
}

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

void read_tokenizer_json(const std::string& path, Vocabulary& vocabulary) { TokenizerJson(path, vocabulary); }

}  // namespace gpt2
