// The split rules of other tokenizers than GPT-2's, their normal form and whole pieces: against Hugging Face's tokenizers, and how
// tokenizer.json and the file say them.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "src/convert/tokenizer_files.h"
#include "src/io/json.h"
#include "src/model/schema.h"
#include "src/text/nfc.h"
#include "src/text/split.h"
#include "src/text/tokenizer.h"
#include "src/text/tokenizer_builder.h"
#include "src/text/utf8.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::vector<std::string> pieces_of(std::string_view text, SplitRule rule) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const size_t length = next_piece(text, rule);
    REQUIRE(length > 0);
    REQUIRE(length <= text.size());
    pieces.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return pieces;
}

// The text of the member `key` of a line that was written by json.dumps: an object, null or a literal.
std::string member_text(const std::string& line, const std::string& key) {
  size_t begin = line.find("\"" + key + "\": ");
  REQUIRE(begin != std::string::npos);
  begin += key.size() + 4;
  size_t end = begin;
  int depth = 0;
  bool quoted = false;
  for (; end < line.size(); ++end) {
    const char c = line[end];
    if (quoted && c == '\\') {
      ++end;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      if (depth == 0 && (c == ',' || c == '}')) break;
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
  }
  return line.substr(begin, end - begin);
}

// tokenizer.json of books' vocabulary with the steps of `line`; without every third merge where they are ignored.
Vocabulary vocabulary_of(const std::string& line) {
  const Vocabulary books = read_vocabulary(source_path("models/books"));
  const std::string ignore = member_text(line, "ignore_merges");
  std::string vocab, merges;
  for (const auto& [text, id] : books.tokens) vocab += (vocab.empty() ? "" : ",") + json_quote(text) + ":" + std::to_string(id);
  for (size_t i = 0; i < books.merges.size(); ++i) {
    if (ignore == "true" && i % 3 == 2) continue;
    merges += (merges.empty() ? "" : ",") + json_quote(books.merges[i].first + " " + books.merges[i].second);
  }
  const std::string directory = temp_dir();
  write_file(directory + "/tokenizer.json", "{\"added_tokens\":[],\"normalizer\":" + member_text(line, "normalizer") + ",\"pre_tokenizer\":" +
                                                member_text(line, "pre_tokenizer") + ",\"model\":{\"type\":\"BPE\",\"ignore_merges\":" +
                                                ignore + ",\"vocab\":{" + vocab + "},\"merges\":[" + merges + "]}}");
  return read_vocabulary(directory);
}

// A rule that a file keeps as metadata and gives back.
class Metadata : public MetadataLookup {
 public:
  explicit Metadata(std::vector<std::pair<std::string, std::string>> items) : items_(std::move(items)) {}
  const std::string* value(std::string_view key) const override {
    for (const auto& [name, text] : items_) {
      if (name == key) return &text;
    }
    return nullptr;
  }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

}  // namespace

TEST_CASE("split: digits alone, and the rules of llama3 and qwen2 piece by piece") {
  struct Case {
    SplitRule rule;
    std::string text;
    std::vector<std::string> pieces;
  };
  using enum SplitRule;
  const std::vector<Case> cases = {
      {gpt2_digits, "a 1  2", {"a", " ", "1", "  ", "2"}},
      {gpt2_digits, " 12ab!? 3", {" ", "1", "2", "ab", "!?", " ", "3"}},
      {gpt2_digits, "'l1l ½Ⅷ", {"'", "l", "1", "l", " ", "½", "Ⅷ"}},
      {llama3, "I'ſ WE'LL", {"I", "'ſ", " WE", "'LL"}},
      {llama3, "12345 6", {"123", "45", " ", "6"}},
      {llama3, "a\r\n\r\n b", {"a", "\r\n\r\n", " b"}},
      {llama3, "  \n  x", {"  \n", " ", " x"}},
      {llama3, "!!\r\n\n x", {"!!\r\n\n", " x"}},
      {llama3, "\t\tx\n.y (z)", {"\t", "\tx", "\n", ".y", " (", "z", ")"}},
      {llama3, " \xff\xfe", {" \xff\xfe"}},
      {llama3, "'", {"'"}},
      {llama3, "x  ", {"x", "  "}},
      {qwen2, "12 3", {"1", "2", " ", "3"}},
  };
  for (const Case& c : cases) CHECK_MESSAGE(pieces_of(c.text, c.rule) == c.pieces, c.text);
  for (const SplitRule rule : {gpt2, gpt2_digits, llama3, qwen2}) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const std::string text = {static_cast<char>(bits >> 8), static_cast<char>(bits)};
      std::string joined;
      for (const std::string& piece : pieces_of(text, rule)) joined += piece;
      REQUIRE(joined == text);
    }
  }
}

// GPT2_SPLIT_CASES names a larger file of the same script.
TEST_CASE("split: ids equal Hugging Face's tokenizers by every rule, read from tokenizer.json") {
  const char* other = std::getenv("GPT2_SPLIT_CASES");
  const std::string path = other != nullptr ? other : source_path("tests/data/split_cases.jsonl");
  std::ifstream file(path);
  TokenizerData data;
  size_t n_kinds = 0, n_cases = 0, n_texts = 0;
  for (std::string line; std::getline(file, line);) {
    const Json json = parse_json(line, path);
    if (const Json* rule = json.find("rule")) {
      data = build_tokenizer(vocabulary_of(line), 4096);
      CHECK(name_of(data.rules.split) == rule->string);
      CHECK(rules_from_metadata(Metadata(rules_metadata(data.rules)), "m") == data.rules);
      ++n_kinds;
      continue;
    }
    const Tokenizer tokenizer(data.tables(), "test");
    const std::string& text = json.find("text")->string;
    std::vector<TokenId> ids;
    for (const Json& id : json.find("ids")->array) ids.push_back(static_cast<TokenId>(id.integer));
    REQUIRE_MESSAGE(tokenizer.encode(text) == ids, line);
    REQUIRE(tokenizer.decode(ids) == (data.rules.nfc ? to_nfc(text) : text));
    n_texts += !data.rules.nfc || surely_nfc(text);
    ++n_cases;
  }
  CHECK(n_kinds == 4);
  CHECK(n_cases >= 1600);
  CHECK(n_texts < n_cases);
}

TEST_CASE("split: tokenizer.json's unknown patterns and steps are refused by name and never run") {
  const std::string level = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";
  const auto split = [](const std::string& pattern) { return R"({"type":"Split","pattern":)" + pattern + R"(,"behavior":"Isolated"})"; };
  const auto sequence = [](const std::string& steps) { return R"({"type":"Sequence","pretokenizers":[)" + steps + "]}"; };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {sequence(split(R"({"Regex":"(a+)+$"})") + "," + level), "(a+)+$"},
      {sequence(split(R"({"String":" "})") + "," + level), "pre_tokenizer.pattern"},
      {sequence(R"({"type":"Split","behavior":"Removed"},)" + level), "pre_tokenizer.behavior"},
      {sequence(R"({"type":"Digits","individual_digits":false},{"type":"ByteLevel"})"), "pre_tokenizer.individual_digits"},
      {sequence(R"({"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":true})"), "pre_tokenizer.add_prefix_space"},
      {sequence(R"({"type":"Digits","individual_digits":true},)" + level), "pre_tokenizer.use_regex"},
      {sequence(R"({"type":"Punctuation"},{"type":"ByteLevel"})"), "Punctuation"},
      {sequence(level + "," + level + "," + level), "3 steps"},
      {level, "pre_tokenizer.use_regex"},
      {R"({"type":"Whitespace"})", "Whitespace"},
      {R"({"type":"Metaspace"})", "pre_tokenizer.replacement"},
      {R"({"type":"Metaspace","replacement":"\u2581"})", "pre_tokenizer.split"},
  };
  for (const auto& [pre, named] : cases) {
    const std::string directory = temp_dir();
    write_file(directory + "/tokenizer.json", "{\"pre_tokenizer\":" + pre + R"(,"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})");
    const Failure failure = failure_of([&] { read_vocabulary(directory); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(named) != std::string::npos, failure.message);
  }
}

TEST_CASE("split: a table of texts that lies is refused, whatever it says") {
  Vocabulary vocabulary;
  vocabulary.tokens = {{"a", 0}, {"b", 1}, {"ab", 2}};
  vocabulary.rules.ignore_merges = true;
  const TokenizerData good = build_tokenizer(vocabulary, 3);
  CHECK(Tokenizer(good.tables(), "t").encode("ab") == std::vector<TokenId>{2});
  TokenizerData data = good;
  data.texts.pop_back();
  CHECK(failure_of([&] { Tokenizer(data.tables(), "t.gpt2"); }).message.find("tokenizer.texts") != std::string::npos);
  data.texts.clear();
  CHECK(failure_of([&] { Tokenizer(data.tables(), "t.gpt2"); }).code == 3);
  data = good;
  data.texts.assign(data.texts.size(), 0xFFFFFFF0u);
  CHECK(failure_of([&] { Tokenizer(data.tables(), "t.gpt2").encode("ab"); }).message.find("tokenizer.texts") != std::string::npos);
  data.texts.assign(data.texts.size(), 1);
  CHECK(failure_of([&] { Tokenizer(data.tables(), "t.gpt2").encode("ab"); }).code == 3);
}

TEST_CASE("nfc: composition, order of marks, Hangul, exclusions, and bytes that are no UTF-8") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"plain", "plain"},
      {"e\u0301", "\u00e9"},
      {"a\u0307\u0323", "\u1ea1\u0307"},
      {"e\u0302\u0301", "\u1ebf"},
      {"\u212b\u2126\u212a", "\u00c5\u03a9K"},
      {"\u1100\u1161\u11a8", "\uac01"},
      {"\uac00\u11a8", "\uac01"},
      {"\uac00\u11a7", "\uac00\u11a7"},
      {"\u0958", "\u0915\u093c"},
      {"\U0001d15e", "\U0001d157\U0001d165"},
      {"\u0301e", "\u0301e"},
      {"e\xff\u0301", "e\xff\u0301"},
      {"a\u0315\u0300", "\u00e0\u0315"},
  };
  for (const auto& [text, expected] : cases) {
    CHECK_MESSAGE(to_nfc(text) == expected, text);
    CHECK(to_nfc(expected) == expected);
    if (text != expected) CHECK_FALSE_MESSAGE(surely_nfc(text), text);
  }
  CHECK(surely_nfc("ASCII, na\u00efve, \u65e5\u672c, \xff\xce"));
}

TEST_CASE("nfc: a text that surely has the form is not changed by it, for every character alone and before a mark") {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    for (const uint32_t mark : {0u, 0x301u, 0x11A8u}) {
      std::string text;
      append_utf8(c, text);
      if (mark != 0) append_utf8(mark, text);
      const std::string normal = to_nfc(text);
      if (normal == text) continue;
      REQUIRE_MESSAGE(!surely_nfc(text), c);
      REQUIRE_MESSAGE(to_nfc(normal) == normal, c);
    }
  }
}
