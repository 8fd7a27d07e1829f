// Added tokens: their flags against Hugging Face's tokenizers, the work that finding them takes, and how a file keeps them.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "src/convert/tokenizer_files.h"
#include "src/io/json.h"
#include "src/text/added_tokens.h"
#include "src/text/split.h"
#include "src/text/tokenizer.h"
#include "src/text/tokenizer_builder.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::vector<TokenId> ids_of(const Json& json) {
  std::vector<TokenId> ids;
  for (const Json& id : json.array) ids.push_back(static_cast<TokenId>(id.integer));
  return ids;
}

AddedToken added_token(const Json& json) {
  const auto flags = static_cast<uint32_t>(json.array[2].integer);
  const auto has = [flags](uint32_t flag) { return (flags & flag) != 0; };
  return {json.array[0].string, static_cast<uint32_t>(json.array[1].integer), has(kAddedSpecial), has(kAddedLstrip), has(kAddedRstrip),
          has(kAddedSingleWord), has(kAddedNormalized)};
}

AddedTokens added_tokens(std::initializer_list<std::string_view> texts, uint32_t flags) {
  std::vector<AddedText> tokens;
  for (const std::string_view text : texts) tokens.push_back({text, static_cast<TokenId>(tokens.size()), flags});
  return AddedTokens(tokens);
}

}  // namespace

// GPT2_ADDED_TOKEN_CASES names a larger file of the same script.
TEST_CASE("added tokens: every combination of flags gives the ids of Hugging Face's tokenizers") {
  const char* other = std::getenv("GPT2_ADDED_TOKEN_CASES");
  const std::string path = other != nullptr ? other : source_path("tests/data/added_tokens.jsonl");
  const Vocabulary books = read_vocabulary(source_path("models/books"));
  std::ifstream file(path);
  size_t n_cases = 0;
  std::string described;
  TokenizerData data;
  for (std::string line; std::getline(file, line); ++n_cases) {
    const Json json = parse_json(line, path);
    const std::string tokens = line.substr(0, line.find("\"text\": "));
    if (tokens != described) {
      Vocabulary vocabulary = books;
      vocabulary.added.clear();
      for (const Json& token : json.find("tokens")->array) vocabulary.added.push_back(added_token(token));
      vocabulary.rules.prefix_space = json.find("prefix_space")->boolean ? PrefixSpace::unspaced : PrefixSpace::none;
      data = build_tokenizer(vocabulary, 5000);
      described = tokens;
    }
    const Tokenizer tokenizer(data.tables(), "test");
    const std::string& text = json.find("text")->string;
    REQUIRE_MESSAGE(tokenizer.encode(text, Specials::parse) == ids_of(*json.find("parsed")), line);
    REQUIRE_MESSAGE(tokenizer.encode(text) == ids_of(*json.find("as_text")), line);
  }
  CHECK(n_cases >= 192);
}

TEST_CASE("added tokens: the work of finding them is linear in the text, whatever the tokens") {
  struct Case {
    const char* name;
    AddedTokens tokens;
    std::string unit;
  };
  const std::string as(500, 'a');
  const Case cases[] = {
      {"one of two never occurs", added_tokens({"<|a|>", "<|never|>"}, kAddedSpecial), "x<|a|>"},
      {"the start of a long one everywhere", added_tokens({as + "b", "c"}, 0), "a"},
      {"white space that is taken along", added_tokens({" ", "x"}, kAddedLstrip | kAddedRstrip), " "},
      {"white space before a word that is none", added_tokens({"x"}, kAddedLstrip | kAddedSingleWord), "  xx"},
      {"no match at all", added_tokens({"<|a|>"}, 0), "z"},
  };
  for (const Case& c : cases) {
    uint64_t steps[2] = {};
    size_t bytes[2] = {};
    for (const int i : {0, 1}) {
      std::string text;
      while (text.size() < (i == 0 ? 20'000u : 160'000u)) text += c.unit;
      bytes[i] = text.size();
      steps[i] = c.tokens.find(text, Specials::parse).steps;
    }
    CAPTURE(c.name);
    CHECK(steps[0] >= bytes[0]);
    CHECK(steps[1] <= 6 * bytes[1]);
    CHECK(steps[1] <= 9 * steps[0]);
  }
}

TEST_CASE("added tokens: leftmost, then longest; a match that is forbidden hides what it covers") {
  const auto found = [](const AddedTokens& tokens, std::string_view text, Specials specials) {
    std::string all;
    for (const AddedTokens::Match& m : tokens.find(text, specials).matches) {
      all += std::to_string(m.id) + ":" + std::to_string(m.begin) + "-" + std::to_string(m.end) + " ";
    }
    return all;
  };
  CHECK(found(added_tokens({"bcd", "ab", "abc"}, 0), "abcd abd", Specials::parse) == "2:0-3 1:5-7 ");
  CHECK(found(added_tokens({"ab"}, kAddedSingleWord), "ab xab ab_ ab. \xC3\xA9" "ab", Specials::parse) == "0:0-2 0:11-13 ");
  const std::vector<AddedText> two = {{"<a><a>", 0, kAddedSpecial}, {"<a>", 1, 0}};
  CHECK(found(AddedTokens(two), "<a><a><a>", Specials::as_text) == "1:6-9 ");
  CHECK(found(AddedTokens(two), "<a><a><a>", Specials::parse) == "0:0-6 1:6-9 ");
  CHECK(found(added_tokens({"x"}, kAddedLstrip | kAddedRstrip), "a \n x \xE3\x80\x80y", Specials::parse) == "0:1-9 ");
  CHECK(found(added_tokens({"", "x"}, 0), "\xFFx\xFF", Specials::parse) == "1:1-2 ");
}

TEST_CASE("added tokens: word characters are those of UTS 18") {
  for (const uint32_t c : {0x30u, 0x41u, 0x5Fu, 0xAAu, 0x301u, 0x2160u, 0x200Du, 0x24D0u, 0x4E00u, 0x203Fu}) CHECK_MESSAGE(is_word_char(c), c);
  for (const uint32_t c : {0x20u, 0x2Du, 0xB2u, 0xBDu, 0x2014u, 0x3000u, 0x1F600u, 0x10FFFFu}) CHECK_FALSE_MESSAGE(is_word_char(c), c);
}

TEST_CASE("added tokens: tables that lie are refused by name") {
  Vocabulary vocabulary;
  vocabulary.tokens = {{"a", 0}, {"b", 1}};
  vocabulary.added = {{"<x>", 2, false}, {"<y>", 3, true}};
  const TokenizerData good = build_tokenizer(vocabulary, 4);
  REQUIRE(good.added_flags == std::vector<uint32_t>{0, kAddedSpecial});
  const auto refuses = [](const TokenizerData& data, const char* item) {
    const Failure failure = failure_of([&] { Tokenizer(data.tables(), "t.gpt2"); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(item) != std::string::npos, failure.message);
  };
  TokenizerData data = good;
  data.added_flags.pop_back();
  refuses(data, "tokenizer.added_flags");
  data = good;
  data.added_flags[0] = kAddedFlagMask + 1;
  refuses(data, "tokenizer.added_flags");
  data = good;
  data.rules.before_text = {4};
  refuses(data, "tokenizer.before_text");
  data = good;
  data.rules.prefix_space = PrefixSpace::unspaced;
  refuses(data, "tokenizer.prefix_space");
  data = good;
  data.bytes.assign(kMaxAddedBytes, 'x');
  data.offsets = {0, 0, 0, 40000, 40000};
  for (int i = 0; i < 30; ++i) data.special_tokens.push_back(2), data.added_flags.push_back(0);
  refuses(data, "tokenizer.special_tokens");
}

namespace {

const std::string kSpecialConfig = R"({"bos_token":"a","add_bos_token":true})";

// The fixture's directory with files beside it, converted.
Model convert_with(const std::map<std::string, std::string>& files, std::vector<std::string>* warnings = nullptr) {
  const std::string directory = make_checkpoint({1, 3, 48, 80, 80, 6}).write();
  for (const auto& [name, text] : files) write_file(directory + "/" + name, text);
  MemorySink sink;
  const ConvertReport report = convert_checkpoint(directory, {}, sink, nullptr);
  if (warnings != nullptr) *warnings = report.warnings;
  return Model::from_memory(sink.take(), "m.gpt2");
}

bool contains(const Model& model, std::string_view text) {
  const void* data = model.bytes().data();
  return std::string_view(static_cast<const char*>(data), model.bytes().size()).find(text) != std::string_view::npos;
}

std::string tokenizer_json(const std::string& members, const std::string& added = "") {
  return R"({"added_tokens":[)" + added + R"(],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)" + members +
         R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
}

}  // namespace

TEST_CASE("tokenizer rules: a plain tokenizer is version 1, one with rules is version 2, and both say what they mean") {
  const Model plain = convert_with({});
  CHECK(contains(plain, "\"gpt2.version\":\"1\""));
  CHECK(plain.tokenizer().encode("ab") == std::vector<TokenId>{2});
  const Model before = convert_with({{"tokenizer_config.json", kSpecialConfig}});
  CHECK(contains(before, "\"gpt2.version\":\"2\""));
  CHECK(contains(before, "\"tokenizer.before_text\":\"0\""));
  CHECK(before.tokenizer().encode("ab") == std::vector<TokenId>{0, 2});
  CHECK(before.tokenizer().encode("") == std::vector<TokenId>{0});
  const Model added = convert_with({{"added_tokens.json", R"({"bab":3})"}});
  CHECK(contains(added, "\"gpt2.version\":\"2\""));
  CHECK(added.tokenizer().encode("abab") == std::vector<TokenId>{0, 3});
  CHECK_FALSE(added.tokenizer().is_special(3));
}

TEST_CASE("tokenizer files: who wins, as in transformers") {
  // tokenizer.json before vocab.json, also a stale one.
  CHECK(convert_with({{"tokenizer.json", tokenizer_json("", R"({"id":3,"content":"bb","special":false})")}, {"vocab.json", R"({"b":0,"a":1,"ba":2})"}})
            .tokenizer()
            .encode("abb") == std::vector<TokenId>{0, 3});
  // added_tokens.json beside it, and tokenizer_config.json's flags before both.
  const std::string added = R"({"id":3,"content":"bb","special":false})";
  CHECK(convert_with({{"tokenizer.json", tokenizer_json("", added)}, {"added_tokens.json", R"({"aa":4})"}}).tokenizer().encode("aabb") ==
        std::vector<TokenId>{4, 3});
  const Model decoder = convert_with(
      {{"tokenizer.json", tokenizer_json("", added)},
       {"tokenizer_config.json", R"({"added_tokens_decoder":{"4":{"content":"bb","special":true},"3":{"content":"ba","special":false}}})"}});
  CHECK(decoder.tokenizer().encode("bbba") == std::vector<TokenId>{1, 1, 3});
  CHECK(decoder.tokenizer().encode("bb") == std::vector<TokenId>{1, 1});
  CHECK(decoder.tokenizer().encode("ba") == std::vector<TokenId>{3});
  CHECK(decoder.tokenizer().encode("bb", Specials::parse) == std::vector<TokenId>{4});
  // A token with a role is special; one that no file gives an id gets the next.
  const Model roles = convert_with({{"special_tokens_map.json", R"({"pad_token":"b","additional_special_tokens":["<x>"]})"}});
  CHECK(roles.tokenizer().encode("ab") == std::vector<TokenId>{2});
  CHECK(roles.tokenizer().encode("ab<x>", Specials::parse) == std::vector<TokenId>{0, 1, 3});
  // A text that the vocabulary has keeps the vocabulary's id.
  const Model known = convert_with({{"added_tokens.json", R"({"ab":5})"}, {"special_tokens_map.json", R"({"sep_token":"ab"})"}});
  CHECK(known.tokenizer().encode("bab", Specials::parse) == std::vector<TokenId>{1, 2});
  // What is put before a text.
  const std::string post = R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"s"}},{"Sequence":{"id":"A"}}],)"
                           R"("special_tokens":{"s":{"id":"s","ids":[2,0]}}},)";
  CHECK(convert_with({{"tokenizer.json", tokenizer_json(post)}}).tokenizer().encode("b") == std::vector<TokenId>{2, 0, 1});
  const Model ignored = convert_with({{"tokenizer.json", tokenizer_json("")}, {"tokenizer_config.json", kSpecialConfig}});
  CHECK(ignored.tokenizer().encode("b") == std::vector<TokenId>{1});
}

TEST_CASE("tokenizer files: added tokens have the ids that transformers gives them, whatever the files say") {
  std::vector<std::string> warnings;
  const auto ids = [&](const std::map<std::string, std::string>& files) { return convert_with(files, &warnings).tokenizer().encode("aabb"); };
  // Behind the vocabulary without gaps, in the order of their ids, over a text that the vocabulary has.
  CHECK(ids({{"added_tokens.json", R"({"bb":5,"aa":4})"}}) == std::vector<TokenId>{3, 4});
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0].find("added token \"aa\": its id 4 is not taken, the next one behind the vocabulary is 3") != std::string::npos);
  CHECK(ids({{"added_tokens.json", R"({"ab":3,"aa":4,"bb":5})"}}) == std::vector<TokenId>{3, 4});
  CHECK(ids({{"added_tokens.json", R"({"aa":1,"bb":4})"}}) == std::vector<TokenId>{3, 4});
  CHECK(ids({{"added_tokens.json", R"({"bb":4,"aa":3})"}}) == std::vector<TokenId>{3, 4});
  CHECK(warnings.empty());
  // The order of the file where tokenizer.json is taken as it is.
  const std::string listed = R"({"id":4,"content":"bb","special":false},{"id":3,"content":"aa","special":false})";
  CHECK(ids({{"tokenizer.json", tokenizer_json("", listed)}}) == std::vector<TokenId>{3, 4});
  CHECK(ids({{"tokenizer.json", tokenizer_json("", listed)}, {"tokenizer_config.json", R"({"tokenizer_class":"PreTrainedTokenizerFast"})"}}) ==
        std::vector<TokenId>{4, 3});
  // The token before a text is found by its own id.
  CHECK(ids({{"added_tokens.json", R"({"<s>":5})"}, {"tokenizer_config.json", R"({"bos_token":"<s>","add_bos_token":true})"}}) ==
        std::vector<TokenId>{3, 0, 2, 1});
  // A vocabulary with holes has no next id.
  CHECK(ids({{"vocab.json", R"({"a":0,"b":1,"ab":3})"}, {"added_tokens.json", R"({"bb":5})"}}) == std::vector<TokenId>{0, 0, 5});
  CHECK(warnings.empty());
}

TEST_CASE("tokenizer files: what is past the embeddings, or outside the byte alphabet, is no reason to refuse") {
  std::vector<std::string> warnings;
  const Model past = convert_with({{"added_tokens.json", R"({"[A]":3,"[B]":4,"[C]":5,"[PAD]":6,"[X]":7})"}}, &warnings);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("[PAD]") != std::string::npos);
  CHECK(warnings[0].find("1 more") != std::string::npos);
  CHECK(past.tokenizer().n_tokens() == 6);
  const Model merged = convert_with({{"vocab.json", R"({"a":0,"b":1,"ab":6})"}}, &warnings);
  CHECK(warnings.size() == 1);
  CHECK(merged.tokenizer().encode("ab") == std::vector<TokenId>{0, 1});
  const Model foreign = convert_with({{"vocab.json", "{\"a\":0,\"b\":1,\"ab\":2,\"\u4e2d\u56fd\":3,\"<|u|> \":4}"}}, &warnings);
  CHECK(warnings.empty());
  CHECK(foreign.tokenizer().token_bytes(3) == "\u4e2d\u56fd");
  CHECK(foreign.tokenizer().token_bytes(4) == "<|u|> ");
}

TEST_CASE("tokenizer files: what cannot be honoured is refused by its key and value") {
  struct BadCase {
    const char* file;
    std::string text;
    const char* key;
    const char* value;
  };
  const std::string single = R"("post_processor":{"type":"TemplateProcessing","special_tokens":{"s":{"ids":[0]}},"single":)";
  const BadCase cases[] = {
      {"tokenizer.json", tokenizer_json(R"("normalizer":{"type":"NFKC"},)"), "normalizer", "NFKC"},
      {"tokenizer.json", tokenizer_json(R"("decoder":{"type":"Metaspace"},)"), "decoder", "Metaspace"},
      {"tokenizer.json", tokenizer_json(R"("post_processor":{"type":"RobertaProcessing"},)"), "post_processor", "RobertaProcessing"},
      {"tokenizer.json", tokenizer_json(single + R"([{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"s"}}]},)"), "post_processor.single[1]", "\"s\""},
      {"tokenizer.json", tokenizer_json(single + R"([{"SpecialToken":{"id":"t"}},{"Sequence":{"id":"A"}}]},)"), "post_processor.single[0]", "\"t\""},
      {"tokenizer.json", tokenizer_json(single + R"([{"SpecialToken":{"id":"s"}}]},)"), "post_processor.single", "none"},
      {"tokenizer.json", tokenizer_json("", R"({"id":2,"content":"ab","lstrip":1})"), "added_tokens[0].lstrip", "1"},
      {"tokenizer_config.json", R"({"add_eos_token":true})", "add_eos_token", "true"},
      {"tokenizer_config.json", R"({"add_prefix_space":"yes"})", "add_prefix_space", "yes"},
      {"tokenizer_config.json", R"({"add_prefix_space":true})", "prefix_space", "without"},
      {"tokenizer_config.json", R"({"add_bos_token":true})", "add_bos_token", "<|endoftext|>"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"x":{"content":"b"}}})", "added_tokens_decoder.x", "\"x\""},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"3":{}}})", "added_tokens_decoder.3", "object"},
  };
  for (const BadCase& c : cases) {
    const Failure failure = failure_of([&] { convert_with({{c.file, c.text}}); });
    CAPTURE(failure.message);
    CAPTURE(c.text);
    CHECK(failure.code == 3);
    CHECK(failure.message.find(c.key) != std::string::npos);
    CHECK(failure.message.find(c.value) != std::string::npos);
  }
}
