// SentencePiece's BPE: ids and texts against the packages sentencepiece and tokenizers, the ways in which such a vocabulary
// comes, and what is refused.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/convert/sentencepiece.h"
#include "src/convert/tokenizer_files.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"
#include "src/model/schema.h"
#include "src/text/pieces.h"
#include "src/text/tokenizer.h"
#include "src/text/utf8.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// GPT2_SENTENCEPIECE names another folder that scripts/make_sentencepiece_goldens.py has filled.
std::string data_path(const std::string& name) {
  const char* other = std::getenv("GPT2_SENTENCEPIECE");
  return (other != nullptr ? std::string(other) : source_path("tests/data/sentencepiece")) + "/" + name;
}

std::string model_bytes(const std::string& name) { return read_text_file(data_path(name + ".model"), 1 << 20); }

struct Loaded {
  TokenizerData data;
  Tokenizer tokenizer;
  explicit Loaded(const Vocabulary& vocabulary) : data(build_tokenizer(vocabulary, 1 << 16)), tokenizer(data.tables(), "test") {}
  Loaded(const Loaded&) = delete;
};

Vocabulary vocabulary_of(const SentencePieceModel& model) {
  return vocabulary_of_pieces(model.pieces, model.add_dummy_prefix ? PrefixSpace::text : PrefixSpace::none, "test");
}

const Tokenizer& llama() {
  static const Loaded loaded(vocabulary_of(parse_sentencepiece(model_bytes("llama"), "llama.model")));
  return loaded.tokenizer;
}

std::string crc32(std::string_view text) {
  uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
  }
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", ~crc);
  return digits;
}

std::string joined(const std::vector<TokenId>& ids) {
  std::string text;
  for (const TokenId id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

// A line that json.dumps has written, from its steps on.
std::string steps_of_line(const std::string& line) { return line.substr(line.find("\"added_tokens\"")); }

class Metadata : public MetadataLookup {
 public:
  explicit Metadata(std::vector<std::pair<std::string, std::string>> items) : items_(items.begin(), items.end()) {}
  const std::string* value(std::string_view key) const override {
    const auto found = items_.find(std::string(key));
    return found == items_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, std::string> items_;
};

std::string in_pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  TokenText pieces(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += pieces.next(id);
  return text;
}

}  // namespace

TEST_CASE("sentencepiece: ids and texts equal the packages sentencepiece and tokenizers") {
  std::map<std::string, std::unique_ptr<Loaded>> kinds;
  for (const std::string name : {"llama", "gemma", "plain", "unused", "types", "gaps"}) {
    kinds[name] = std::make_unique<Loaded>(vocabulary_of(parse_sentencepiece(model_bytes(name), name)));
  }
  const std::string bpe = read_text_file(data_path("bpe.json"), 1 << 20), path = data_path("cases.jsonl");
  std::ifstream file(path);
  size_t n_texts = 0, n_compared = 0;
  for (std::string line; std::getline(file, line);) {
    const Json json = parse_json(line, path);
    if (const Json* kind = json.find("kind")) {
      const std::string directory = temp_dir();
      write_file(directory + "/tokenizer.json", "{\"model\":" + bpe + "," + steps_of_line(line));
      kinds[kind->string] = std::make_unique<Loaded>(read_vocabulary(directory));
      continue;
    }
    const std::string& text = json.find("text")->string;
    ++n_texts;
    for (const auto& [key, crc, place] : json.find("crcs")->object) {
      const bool ids_only = key.ends_with('*');
      const Tokenizer& tokenizer = kinds.at(ids_only ? key.substr(0, key.size() - 1) : key)->tokenizer;
      const bool json_kind = !std::ifstream(data_path(key + ".model"));
      const std::vector<TokenId> ids = tokenizer.encode(text, json_kind ? Specials::parse : Specials::as_text);
      const std::string made = joined(ids) + "\n" + (ids_only ? "" : tokenizer.decode(ids));
      CHECK_MESSAGE(crc32(made) == crc.string, key << " " << json_quote(text) << " " << made);
      REQUIRE(in_pieces(tokenizer, ids) == tokenizer.decode(ids));
      ++n_compared;
    }
  }
  CHECK(n_texts >= 400);
  CHECK(n_compared == 11 * n_texts);
}

TEST_CASE("sentencepiece: bytes come back, alone, in pairs and token by token; U+2581 comes back as a space") {
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 37) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    REQUIRE(llama().decode(llama().encode(text)) == (c == 0x2581 ? " " : text));
  }
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const std::string text = {static_cast<char>(bits >> 8), static_cast<char>(bits)};
    const std::vector<TokenId> ids = llama().encode(text);
    REQUIRE(llama().decode(ids) == text);
    REQUIRE(in_pieces(llama(), ids) == text);
  }
}

TEST_CASE("sentencepiece: the space before a text is taken away at its beginning only") {
  const std::vector<TokenId> ids = llama().encode("the the");
  const std::vector<TokenId> tail(ids.begin() + 1, ids.end());
  CHECK(llama().decode(ids) == "the the");
  TokenText behind(llama(), {ids.data(), 1});
  std::string text;
  for (const TokenId id : tail) text += behind.next(id);
  CHECK(text == "e the");
  TokenText again(llama(), {ids.data(), 1});
  CHECK(again.next(ids[0]) == " th");
  const TokenId bos = 1;
  TokenText after_bos(llama(), {&bos, 1});
  CHECK(after_bos.next(ids[0]) == "th");
}

TEST_CASE("sentencepiece: a directory with tokenizer.model, its beginning, its stretches, and the rules as a file keeps them") {
  const auto load = [](const std::map<std::string, std::string>& files) {
    const std::string directory = temp_dir();
    write_file(directory + "/tokenizer.model", model_bytes("llama"));
    for (const auto& [name, content] : files) write_file(directory + "/" + name, content);
    return std::make_unique<Loaded>(read_vocabulary(directory));
  };
  const std::vector<TokenId> plain = llama().encode("sea");
  const auto behind_bos = [&](std::vector<TokenId> ids) { return ids.insert(ids.begin(), 1), ids; };
  const auto bare = load({});
  CHECK(bare->tokenizer.encode("sea") == behind_bos(plain));
  CHECK(bare->tokenizer.decode(bare->tokenizer.encode("sea")) == "sea");
  CHECK(bare->tokenizer.encode("") == std::vector<TokenId>{1});
  CHECK(load({{"tokenizer_config.json", R"({"add_bos_token":false})"}})->tokenizer.encode("sea") == plain);
  CHECK(failure_of([&] { load({{"tokenizer_config.json", R"({"add_eos_token":true})"}}); }).message.find("add_eos_token") != std::string::npos);
  // What is behind an added token begins anew, unless "legacy" says no.
  const std::string text = "sea</s>sea";
  std::vector<TokenId> anew = behind_bos(plain);
  anew.push_back(2);
  anew.insert(anew.end(), plain.begin(), plain.end());
  CHECK(bare->tokenizer.encode(text, Specials::parse) == anew);
  CHECK(bare->tokenizer.decode(anew) == text);
  const auto modern = load({{"tokenizer_config.json", R"({"legacy":false})"}});
  CHECK(modern->tokenizer.encode(text, Specials::parse) != anew);
  CHECK(modern->tokenizer.decode(modern->tokenizer.encode(text, Specials::parse)) == text);
  const auto added = load({{"tokenizer_config.json", R"({"added_tokens_decoder":{"620":{"content":"<|im|>","special":true}}})"}});
  CHECK(added->tokenizer.encode("<|im|>", Specials::parse) == std::vector<TokenId>{1, 620});
  CHECK(added->tokenizer.encode("<|im|>").size() > 2);
  // Another program's file of that name does not count.
  CHECK(load({{"tokenizer.model", "IQ== 0\n"}, {"tokenizer.json", R"({"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})"}})
            ->tokenizer.encode("a") == std::vector<TokenId>{0});
  for (const std::string name : {"llama", "gemma", "plain", "unused", "types", "gaps"}) {
    const TokenizerData data = build_tokenizer(vocabulary_of(parse_sentencepiece(model_bytes(name), name)), 1 << 16);
    CHECK(rules_from_metadata(Metadata(rules_metadata(data.rules)), "m") == data.rules);
    CHECK(data.rules != TokenizerRules());
  }
}

TEST_CASE("sentencepiece: pieces that do not fit are refused by name") {
  using enum PieceType;
  const std::vector<Piece> good = {{"<unk>", 0, unknown}, {"a", -1, normal}, {"b", -2, normal}, {"ab", 0, normal}};
  const Loaded loaded(vocabulary_of_pieces(good, PrefixSpace::none, "t"));
  CHECK(loaded.tokenizer.encode("abxxb") == std::vector<TokenId>{3, 0, 2});
  std::vector<Piece> padded = good;
  padded.insert(padded.begin() + 1, {"[PAD1]", -9, unused});
  padded.push_back({"[PAD5]", -9, unused});
  const Loaded gaps(vocabulary_of_pieces(padded, PrefixSpace::none, "t"));
  CHECK(gaps.tokenizer.encode("abxxb") == std::vector<TokenId>{4, 0, 3});
  CHECK(gaps.tokenizer.n_tokens() == 5);
  CHECK(gaps.tokenizer.token_bytes(1).empty());
  const auto refuses = [&](Piece piece, const std::string& named) {
    std::vector<Piece> pieces = good;
    pieces.push_back(std::move(piece));
    const Failure failure = failure_of([&] { vocabulary_of_pieces(pieces, PrefixSpace::none, "t.gguf"); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(named) != std::string::npos, failure.message);
  };
  refuses({"", 0, normal}, "piece 4");
  refuses({"ab", 0, normal}, "twice");
  refuses({std::string(300, 'a'), 0, normal}, "256 bytes");
  refuses({"c", std::numeric_limits<float>::quiet_NaN(), normal}, "NaN");
  refuses({"c", 0, static_cast<PieceType>(9)}, "type from 1 to 6");
  refuses({"<0x00>", 0, byte}, "<0x01>");
}

TEST_CASE("sentencepiece: models that are damaged, or ask for more, are refused by name") {
  const std::string model = model_bytes("plain");
  const auto refuses = [](const std::string& bytes, const std::string& named) {
    const Failure failure = failure_of([&] { parse_sentencepiece(bytes, "t.model"); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(named) != std::string::npos, failure.message);
  };
  const auto message = [](char number, const std::string& body) { return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(body.size())} + body; };
  refuses("", "pieces");
  refuses(model + message(1, std::string("\x0A\x02zz\x18\x02", 6)), "type 2 (unknown): expected one, found 2");
  refuses("\x0A\x7F", "127 bytes");
  refuses("\x0B", "wire type 3");
  refuses("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "64 bits");
  refuses("\x0A", "a whole number");
  refuses(message(1, "\x15\x00"), "4 bytes");
  refuses(message(1, "\x18\x07"), "1 to 6");
  refuses("\x08\x01", "field 1");
  refuses(model + message(2, "\x18\x01"), "UNIGRAM");
  refuses(model + message(2, "\xC0\x01\x01"), "treat_whitespace_as_suffix");
  refuses(model + message(3, "\x20\x01"), "remove_extra_whitespaces");
  refuses(model + message(3, std::string("\x28\x00", 2)), "escape_whitespaces");
  refuses(model + message(3, "\x12\x01x"), "normalizer_spec");
  refuses(model + message(5, "\x12\x01x"), "denormalizer_spec");
  for (size_t cut = 1; cut < model.size(); cut += 7) failure_of([&] { parse_sentencepiece(model.substr(0, cut), "t.model"); });
}

TEST_CASE("tokenizer: the hash and the first difference know of the rules") {
  Vocabulary vocabulary;
  vocabulary.tokens = {{"a", 0}, {"b", 1}, {"ab", 2}};
  const TokenizerData plain = build_tokenizer(vocabulary, 3);
  const Tokenizer a(plain.tables(), "a");
  std::vector<TokenizerRules> others(7);
  others[0].split = SplitRule::llama3;
  others[1].before_text = {1};
  others[2].nfc = true;
  others[3].fuse_unknown = true;
  others[4].unknown = 0;
  others[5].unused = {2};
  others[6].split = SplitRule::qwen2;
  std::set<uint64_t> hashes = {a.hash()};
  for (const TokenizerRules& rules : others) {
    TokenizerData data = plain;
    data.rules = rules;
    const Tokenizer b(data.tables(), "b");
    hashes.insert(b.hash());
    CHECK(first_difference(a, b) == std::optional<size_t>(3));
    CHECK_FALSE(first_difference(b, b).has_value());
  }
  CHECK(hashes.size() == 8);
}
