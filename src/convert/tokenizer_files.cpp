#include "src/convert/tokenizer_files.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "src/base/error.h"
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

// A merge makes a token of the vocabulary, and a token has few ways to be made (two, in the largest that are published).
void check_merge_count(const Vocabulary& vocabulary, std::string_view file) {
  const size_t most = 16 * (vocabulary.tokens.size() + 16);
  if (vocabulary.merges.size() < most) return;
  fail_model(file, "merges", "at most " + std::to_string(most) + " for " + std::to_string(vocabulary.tokens.size()) + " tokens", "more");
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

bool is_byte_level(const Json& step) {
  const Json* type = step.find("type");
  const Json* prefix = step.find("add_prefix_space");
  const Json* regex = step.find("use_regex");
  return type != nullptr && type->string == "ByteLevel" && (prefix == nullptr || !prefix->boolean) &&
         (regex == nullptr || regex->boolean);
}

// Only GPT-2's own pipeline: no pattern from a file is ever run.
void check_pipeline(const Json& json, std::string_view file) {
  require_inert(json, "normalizer", file, "tokenizer");
  const Json* pre = json.find("pre_tokenizer");
  if (pre == nullptr || pre->kind != Json::Kind::object) {
    fail_model(file, "pre_tokenizer", "ByteLevel", pre == nullptr ? "none" : pre->describe());
  }
  const Json* steps = pre->find("pretokenizers");
  const bool one_step = steps != nullptr && steps->array.size() == 1 && is_byte_level(steps->array[0]);
  if (is_byte_level(*pre) || one_step) return;
  const Json* type = pre->find("type");
  fail_model(file, "pre_tokenizer", "ByteLevel without a prefix space, with GPT-2's own split rule",
             type == nullptr ? "no type" : type->describe());
}

void read_added_token(const Json& token, std::string_view file, size_t index, Vocabulary& vocabulary) {
  const std::string item = "added_tokens[" + std::to_string(index) + "]";
  const Json* id = token.find("id");
  const Json* content = token.find("content");
  if (id == nullptr || content == nullptr || content->kind != Json::Kind::string) {
    fail_model(file, item, "an object with id and content", token.describe());
  }
  for (const char* key : {"lstrip", "rstrip", "single_word"}) require_inert(token, key, file, item);
  const Json* special = token.find("special");
  vocabulary.added.push_back({content->string, token_id(*id, file, item + ".id"), special == nullptr || special->boolean});
}

void read_tokenizer_json(const std::string& path, Vocabulary& vocabulary) {
  const Json json = parse_json(read_text_file(path, kMaxFileBytes), path);
  const Json* model = json.find("model");
  if (model == nullptr || model->kind != Json::Kind::object) {
    fail_model(path, "model", "an object", model == nullptr ? "none" : model->describe());
  }
  if (const Json* type = model->find("type"); type != nullptr && type->string != "BPE") {
    fail_model(path, "model.type", "\"BPE\"", type->describe());
  }
  check_pipeline(json, path);
  for (const char* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"}) {
    require_inert(*model, key, path, "model");
  }
  const Json* vocab = model->find("vocab");
  if (vocab == nullptr) fail_model(path, "model.vocab", "an object", "none");
  read_tokens(*vocab, path, vocabulary);
  const Json* merges = model->find("merges");
  if (merges == nullptr || merges->kind != Json::Kind::array) {
    fail_model(path, "model.merges", "an array", merges == nullptr ? "none" : merges->describe());
  }
  vocabulary.merges_file = path;
  for (size_t i = 0; i < merges->array.size(); ++i) {
    const Json& merge = merges->array[i];
    const std::string item = "model.merges[" + std::to_string(i) + "]";
    if (merge.kind == Json::Kind::string) {
      vocabulary.merges.push_back(split_merge(merge.string, path, item));
    } else if (merge.array.size() == 2 && !merge.array[0].string.empty() && !merge.array[1].string.empty()) {
      vocabulary.merges.emplace_back(merge.array[0].string, merge.array[1].string);
    } else {
      fail_model(path, item, "\"left right\" or [\"left\", \"right\"]", merge.describe());
    }
  }
  if (const Json* added = json.find("added_tokens")) {
    for (size_t i = 0; i < added->array.size(); ++i) read_added_token(added->array[i], path, i, vocabulary);
  }
}

// added_tokens.json: {"text": id, ...}.
void read_added_tokens_json(const std::string& path, Vocabulary& vocabulary) {
  const Json json = parse_json(read_text_file(path, kMaxFileBytes), path);
  if (json.kind != Json::Kind::object) fail_model(path, "added tokens", "an object of texts and ids", json.describe());
  for (const auto& [text, id, place] : json.object) vocabulary.added.push_back({text, token_id(id, path, "token \"" + text + "\""), true});
}

void add_end_of_text(Vocabulary& vocabulary) {
  for (const AddedToken& token : vocabulary.added) {
    if (token.text == kEndOfText) return;
  }
  for (const auto& [text, id] : vocabulary.tokens) {
    if (text == kEndOfText) vocabulary.added.push_back({text, id, true});
  }
}

}  // namespace

Vocabulary read_vocabulary(const std::string& directory) {
  const std::string vocab = directory + "/vocab.json", merges = directory + "/merges.txt";
  const std::string tokenizer = directory + "/tokenizer.json", added = directory + "/added_tokens.json";
  Vocabulary vocabulary;
  if (file_exists(vocab) && file_exists(merges)) {
    read_tokens(parse_json(read_text_file(vocab, kMaxFileBytes), vocab), vocab, vocabulary);
    read_merges_text(read_text_file(merges, kMaxFileBytes), merges, vocabulary);
    if (file_exists(added)) read_added_tokens_json(added, vocabulary);
  } else if (file_exists(tokenizer)) {
    read_tokenizer_json(tokenizer, vocabulary);
  } else {
    fail_model(directory, "tokenizer", "vocab.json and merges.txt, or tokenizer.json", "neither");
  }
  add_end_of_text(vocabulary);
  return vocabulary;
}

}  // namespace gpt2
