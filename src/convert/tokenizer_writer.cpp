#include "src/convert/tokenizer_writer.h"

#include <algorithm>
#include <bit>
#include <set>

#include "src/base/error.h"
#include "src/convert/tokenizer_steps.h"
#include "src/convert/vocabulary_parts.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

using Token = VocabularyParts::Token;
constexpr std::string_view kMark = "\u2581";

std::string quoted(std::string_view text) { return json_quote(text); }
const char* word(bool value) { return value ? "true" : "false"; }

std::string flags_text(uint32_t flags) {
  const auto is = [flags](uint32_t flag) { return word((flags & flag) != 0); };
  return std::string("\"single_word\": ") + is(kAddedSingleWord) + ", \"lstrip\": " + is(kAddedLstrip) +
         ", \"rstrip\": " + is(kAddedRstrip) + ", \"normalized\": " + is(kAddedNormalized) +
         ", \"special\": " + is(kAddedSpecial);
}

// Fields of a protocol buffer.
class Message {
 public:
  Message& number(uint32_t field, uint64_t value) {
    varint(field << 3);
    varint(value);
    return *this;
  }
  Message& bytes(uint32_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    text_ += value;
    return *this;
  }
  Message& real(uint32_t field, float value) {
    varint(field << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) text_ += static_cast<char>(bits >> shift & 255);
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  void varint(uint64_t value) {
    for (; value > 127; value >>= 7) text_ += static_cast<char>((value & 127) | 128);
    text_ += static_cast<char>(value);
  }
  std::string text_;
};

class Writer {
 public:
  explicit Writer(const Model& model)
      : model_(model), rules_(model.tokenizer().rules()), parts_(vocabulary_parts(model)),
        characters_(rules_.symbols == Symbols::characters) {}

  std::vector<std::pair<std::string, std::string>> write() {
    const bool scored = characters_ && merges_have_scores();
    std::pair<std::string, std::string> vocabulary;
    if (scored) {
      vocabulary = {"tokenizer.model", pieces_model()};
    } else {
      vocabulary = {"tokenizer.json", tokenizer_json()};
    }
    return {std::move(vocabulary), {"tokenizer_config.json", tokenizer_config(scored)}};
  }

 private:
  [[noreturn]] void refuse(std::string_view rule, std::string_view expected, std::string_view found) const {
    fail_model(model_.name(), "tokenizer." + std::string(rule),
               std::string(expected) + " (tokenizer files cannot say others)", found);
  }

  // Whether ranks are shared, or what only SentencePiece's models say is asked for.
  bool merges_have_scores() const {
    if (rules_.prefix_space == PrefixSpace::text || !rules_.unused.empty()) return true;
    const auto same = [](const MergeSlot& a, const MergeSlot& b) { return a.rank == b.rank; };
    return std::adjacent_find(parts_.merges.begin(), parts_.merges.end(), same) != parts_.merges.end();
  }

  const std::string& text_of(TokenId id) const { return parts_.tokens[static_cast<size_t>(id)].text; }
  bool is_added(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < parts_.tokens.size() && parts_.tokens[static_cast<size_t>(id)].is_added;
  }

  std::string pieces_model() const {
    const bool prefix = rules_.prefix_space != PrefixSpace::none;
    if (prefix && rules_.prefix_space != PrefixSpace::text && rules_.prefix_space != PrefixSpace::stretch) {
      refuse("prefix_space", "none, text or stretch", name_of(rules_.prefix_space));
    }
    Message model;
    bool bytes = false;
    for (const Piece& piece : pieces_of(model_)) {
      Message message;
      message.bytes(1, piece.text).real(2, piece.score).number(3, static_cast<uint64_t>(piece.type));
      model.bytes(1, message.text());
      bytes = bytes || piece.type == PieceType::byte;
    }
    const TokenId bos = model_.config().bos_token_id;
    Message trainer;
    trainer.number(3, 2).number(4, parts_.tokens.size()).number(35, bytes ? 1 : 0);
    if (rules_.unknown >= 0) trainer.number(40, static_cast<uint64_t>(rules_.unknown));
    if (is_added(bos)) trainer.number(41, static_cast<uint64_t>(bos));
    if (rules_.unknown >= 0) trainer.bytes(45, text_of(rules_.unknown));
    if (is_added(bos)) trainer.bytes(46, text_of(bos));
    Message normalizer;
    normalizer.bytes(1, "identity").number(3, prefix ? 1 : 0).number(4, 0).number(5, 1);
    model.bytes(2, trainer.text()).bytes(3, normalizer.text());
    return model.text();
  }

  std::string tokenizer_json() const {
    std::string out = "{\n\"version\": \"1.0\",\n\"truncation\": null,\n\"padding\": null,\n\"added_tokens\": [";
    std::string separator = "\n";
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      const Token& token = parts_.tokens[id];
      if (!token.is_added || token.text.empty()) continue;
      out += separator + "{\"id\": " + std::to_string(id) + ", \"content\": " + quoted(token.text) + ", " +
             flags_text(token.flags) + "}";
      separator = ",\n";
    }
    out += "],\n\"normalizer\": " + normalizer() + ",\n\"pre_tokenizer\": " + pre_tokenizer() +
           ",\n\"post_processor\": " + post_processor() + ",\n\"decoder\": " + decoder() + ",\n\"model\": " + model();
    return out + "\n}\n";
  }

  bool has_metaspace() const {
    return rules_.prefix_space == PrefixSpace::unspaced || rules_.prefix_space == PrefixSpace::first;
  }

  std::string normalizer() const {
    if (!characters_) return rules_.nfc ? "{\"type\": \"NFC\"}" : "null";
    if (has_metaspace()) return "null";
    const std::string mark = quoted(kMark);
    const std::string replace = "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": " + mark + "}";
    if (rules_.prefix_space == PrefixSpace::none) return replace;
    return "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": " + mark + "}, " + replace +
           "]}";
  }

  std::string pre_tokenizer() const {
    const bool space = rules_.prefix_space == PrefixSpace::unspaced;
    if (characters_) {
      if (!has_metaspace()) return "null";
      return "{\"type\": \"Metaspace\", \"replacement\": " + quoted(kMark) + ", \"prepend_scheme\": \"" +
             (space ? "always" : "first") + "\", \"split\": false}";
    }
    if (rules_.prefix_space != PrefixSpace::none && !(space && rules_.split == SplitRule::gpt2)) {
      refuse("prefix_space", "none, or true with the split rule gpt2", name_of(rules_.prefix_space));
    }
    const std::string_view pattern = split_pattern(rules_.split);
    const std::string bytes = std::string("{\"type\": \"ByteLevel\", \"add_prefix_space\": ") + word(space) +
                              ", \"trim_offsets\": true, \"use_regex\": " + word(pattern.empty()) + "}";
    if (rules_.split == SplitRule::gpt2) return bytes;
    const std::string first =
        pattern.empty() ? "{\"type\": \"Digits\", \"individual_digits\": true}"
                        : "{\"type\": \"Split\", \"pattern\": {\"Regex\": " + quoted(pattern) +
                              "}, \"behavior\": \"Isolated\", \"invert\": false}";
    return "{\"type\": \"Sequence\", \"pretokenizers\": [" + first + ", " + bytes + "]}";
  }

  std::string post_processor() const {
    const std::string bytes =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true}";
    if (rules_.before_text.empty()) return characters_ ? "null" : bytes;
    std::string before, tokens;
    std::set<TokenId> seen;
    for (const TokenId id : rules_.before_text) {
      if (id < 0 || static_cast<size_t>(id) >= parts_.tokens.size() || text_of(id).empty()) {
        refuse("before_text", "tokens with a text", std::to_string(id));
      }
      const std::string text = quoted(text_of(id));
      before += "{\"SpecialToken\": {\"id\": " + text + ", \"type_id\": 0}}, ";
      if (!seen.insert(id).second) continue;
      tokens += (tokens.empty() ? "" : ", ") + text + ": {\"id\": " + text + ", \"ids\": [" + std::to_string(id) +
                "], \"tokens\": [" + text + "]}";
    }
    const std::string a = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}";
    return "{\"type\": \"TemplateProcessing\", \"single\": [" + before + a + "], \"pair\": [" + before + a +
           ", {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {" + tokens + "}}";
  }

  std::string decoder() const {
    if (!characters_) {
      return "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}";
    }
    std::string steps = "{\"type\": \"Replace\", \"pattern\": {\"String\": " + quoted(kMark) + "}, \"content\": \" \"}";
    steps += ", {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}";
    if (rules_.prefix_space != PrefixSpace::none) {
      steps += ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}";
    }
    return "{\"type\": \"Sequence\", \"decoders\": [" + steps + "]}";
  }

  // Added tokens stand in the vocabulary too, unless their ids follow it, as its reader counts them.
  bool added_follow() const {
    size_t end = 0;
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      if (!parts_.tokens[id].is_added && !parts_.tokens[id].text.empty()) end = id + 1;
    }
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      if (parts_.tokens[id].text.empty() || (id < end) == parts_.tokens[id].is_added) return false;
    }
    return true;
  }

  std::string model() const {
    const bool follow = !characters_ && added_follow();
    const bool bytes = characters_ && std::any_of(parts_.tokens.begin(), parts_.tokens.end(),
                                                  [](const Token& token) { return token.is_byte; });
    const bool unknown = characters_ && rules_.unknown >= 0;
    if (unknown && static_cast<size_t>(rules_.unknown) >= parts_.tokens.size()) {
      refuse("unknown", "a token", std::to_string(rules_.unknown));
    }
    std::string out = "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ";
    out += unknown ? quoted(text_of(rules_.unknown)) : "null";
    out += std::string(", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": ") +
           word(rules_.fuse_unknown) + ", \"byte_fallback\": " + word(bytes) +
           ", \"ignore_merges\": " + word(rules_.ignore_merges) + ",\n\"vocab\": {";
    std::string separator = "\n";
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      const Token& token = parts_.tokens[id];
      if (token.text.empty() || (token.is_added && follow)) continue;
      out += separator + quoted(token.text) + ": " + std::to_string(id);
      separator = ",\n";
    }
    out += "},\n\"merges\": [";
    separator = "\n";
    for (const MergeSlot& merge : parts_.merges) {
      out += separator + quoted(parts_.merge_text(merge));
      separator = ",\n";
    }
    return out + "]}";
  }

  std::string tokenizer_config(bool scored) const {
    std::string out = "{\n";
    const auto put = [&out](std::string_view key, const std::string& value) {
      out += (out.size() > 2 ? ",\n" : "") + quoted(key) + ": " + value;
    };
    const bool gemma = model_.config().architecture == "gemma";
    put("tokenizer_class", scored ? (gemma ? "\"GemmaTokenizer\"" : "\"LlamaTokenizer\"")
                                  : "\"PreTrainedTokenizerFast\"");
    if (scored) put_pieces_rules(put);
    std::string added;
    for (size_t id = 0; id < parts_.tokens.size(); ++id) {
      const Token& token = parts_.tokens[id];
      if (!token.is_added || token.text.empty()) continue;
      added += (added.empty() ? "\n" : ",\n") + quoted(std::to_string(id)) + ": {\"content\": " + quoted(token.text) +
               ", " + flags_text(token.flags) + "}";
    }
    put("added_tokens_decoder", "{" + added + "}");
    put_roles(put, scored);
    put("clean_up_tokenization_spaces", "false");
    put("model_max_length", std::to_string(model_.config().n_ctx));
    const std::string& chat = model_.file().chat_template;
    if (!chat.empty()) put("chat_template", quoted(chat));
    return out + "\n}\n";
  }

  template <class Put>
  void put_pieces_rules(Put put) const {
    const std::vector<TokenId>& before = rules_.before_text;
    if (before.size() > 1 || (before.size() == 1 && !is_added(before[0]))) {
      refuse("before_text", "nothing or an added token", before.size() > 1 ? "several tokens" : "another");
    }
    put("add_bos_token", word(!before.empty()));
    put("add_eos_token", "false");
    put("legacy", word(rules_.prefix_space != PrefixSpace::text));
  }

  // A role names an added token only: it would make one of another.
  template <class Put>
  void put_roles(Put put, bool scored) const {
    const Config& c = model_.config();
    const auto role = [&](std::string_view key, TokenId id) {
      if (is_added(id)) put(key, quoted(text_of(id)));
    };
    role("bos_token", rules_.before_text.size() == 1 ? rules_.before_text[0] : c.bos_token_id);
    role("eos_token", c.eos_token_ids.empty() ? -1 : c.eos_token_ids[0]);
    const TokenRoles& roles = model_.file().roles;
    role("unk_token", scored ? rules_.unknown : roles[TokenRole::unk]);
    role("pad_token", roles[TokenRole::pad]);
    role("eot_token", roles[TokenRole::eot]);
    role("prefix_token", roles[TokenRole::fim_prefix]);
    role("suffix_token", roles[TokenRole::fim_suffix]);
    role("middle_token", roles[TokenRole::fim_middle]);
  }

  const Model& model_;
  const TokenizerRules& rules_;
  VocabularyParts parts_;
  bool characters_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> tokenizer_files(const Model& model) { return Writer(model).write(); }

}  // namespace gpt2
