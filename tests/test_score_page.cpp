// What scored texts look like: rows of a terminal, and the page.
#include <doctest/doctest.h>

#include <cmath>

#include "src/io/json.h"
#include "src/text/display.h"
#include "tests/fixtures.h"
#include "tools/heat.h"
#include "tools/score_page.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Token {
  std::string_view text;
  double bits;
};

ScoredText scored_of(std::initializer_list<Token> tokens) {
  ScoredText text;
  text.written.begins = {0};
  for (const Token& token : tokens) {
    text.written.text += token.text;
    text.written.begins.push_back(text.written.text.size());
    text.written.is_special.push_back(false);
    TokenScore score;
    score.token = token.bits < 0 ? -1 : 5;
    score.logprob = -token.bits * std::log(2.0);
    score.best = {7, -1};
    score.rank = static_cast<uint32_t>(1 + token.bits * 100);
    text.scores.push_back(score);
  }
  return text;
}

// The rows without the line of sums.
std::string rows_of(const ScoredText& text, const HeatStyle& style) {
  const std::string all = heat_text(text, style);
  return all.substr(0, all.rfind("("));
}

}  // namespace

TEST_CASE("heat: marks stand below what they mark, and rows keep the width") {
  const ScoredText text = scored_of({{"The", 1}, {" sea", 9.5}, {" was", 2.5}, {".", 20}});
  CHECK(rows_of(text, {false, 80}) == "The sea was.\n   4...1...7\n");
  CHECK(rows_of(text, {false, 8}) == "The sea \n   4...1\nwas.\n1..7\n");
  CHECK(rows_of(text, {false, 2}) == "Th\n\ne \n 4\nse\n4.\na \n41\nwa\n1.\ns.\n17\n");
  CHECK(rows_of(scored_of({{"a", -1}, {"\n\n", 5}, {"b", 5}}), {false, 80}) == "a\n\n\nb\n2\n");
  CHECK(rows_of(scored_of({{"\t", 3}, {"x", 0}}), {false, 80}) == "        x\n1.......\n");
  CHECK(rows_of(scored_of({{"\xE6\xB5", 3}, {"\xB7x", 5}}), {false, 80}) == "\xE6\xB5\xB7x\n1.2\n");  // two columns
  CHECK(rows_of(scored_of({{"e\xCC\x81", 3}, {"\x1b[0m\xC2\x9B\xFF", 0}}), {false, 80}) ==
        "e\xCC\x81\\x1B[0m\\x9B\xEF\xBF\xBD\n1\n");
}

TEST_CASE("heat: colours end before a row does") {
  const std::string rows = rows_of(scored_of({{"aa", 12}, {" bb", 12}, {" c", 0}}), {true, 3});
  CHECK(rows == "\x1b[38;5;16;48;5;209maa \x1b[0m\n\x1b[38;5;16;48;5;209mbb\x1b[0m \nc\n");
  CHECK(heat_text(scored_of({}), {true, 80}) == "(0.0 bits, 0 tokens, 0.00 bits a token)\n\n");
}

TEST_CASE("heat: levels") {
  for (size_t level = 0; level < kHeatLevels; ++level) {
    TokenScore score;
    score.token = 1;
    score.logprob = -(kHeatBits[level] + 1e-6) * std::log(2.0);
    CHECK(heat_level(score) == level);
  }
}

TEST_CASE("page: everything is escaped, and nothing is fetched") {
  ScorePage page(books().tokenizer(), "<model>");
  ScoredRecord scored;
  scored.record.name = "<script>alert(1)</script>";
  scored.text = scored_of({{"</script><b a='\"'>&", 3}, {"\n", 1}, {"\x01\xC3", 30}, {"\xA9", 2}, {"x", -1}});
  scored.top.assign(5 * kPageAlternatives, {0, -1});
  scored.record.index = 1;
  page.add(scored);
  ScoredRecord failed;
  failed.record.name = "two";
  failed.record.failure = {ExitCode::input, "it's <bad>"};
  page.add(failed);
  const std::string html = page.html();
  CHECK(html.find("&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;</span>") != std::string::npos);
  CHECK(html.find("<h2>&lt;script&gt;alert(1)&lt;/script&gt;</h2>") != std::string::npos);
  CHECK(html.find("it&#39;s &lt;bad&gt;") < html.find("<h2>&lt;script"));  // by index
  CHECK(html.find("\xE2\x90\x81\xC3\xA9</span>") != std::string::npos);      // a character stands in its first token
  CHECK(html.find("part\"></span>") != std::string::npos);
  CHECK(html.find("to &lt;model&gt;<") != std::string::npos);
  for (const char* outside : {"http://", "https://", "src=", "href=", "url(", "@import"})
    CHECK(html.find(outside) == std::string::npos);
  size_t n_scripts = 0;
  for (size_t at = 0; (at = html.find("</script", at)) != std::string::npos; ++at) ++n_scripts;
  CHECK(n_scripts == 2);
  // The rows of the tokens are JSON, and the last is not scored.
  const size_t begin = html.find("json\">") + 6;
  Json json;
  REQUIRE(!read_json(html.substr(begin, html.find("</script", begin) - begin), json));
  REQUIRE(json.array.size() == 5);
  CHECK(json.array[0].array[1].integer == 301);
  CHECK(json.array[0].array[3].array.size() == kPageAlternatives);
  CHECK(json.array[4].kind == Json::Kind::null);
}

TEST_CASE("page: of many texts the first are shown, in whatever order they come") {
  std::string pages[2];
  for (const bool backwards : {false, true}) {
    ScorePage page(books().tokenizer(), "m");
    for (uint64_t i = 0; i < 5; ++i) {
      ScoredRecord scored;
      scored.record.index = backwards ? 4 - i : i;
      scored.record.name = "text " + std::to_string(scored.record.index);
      for (size_t k = 0; k < kMaxPageTokens / 3; ++k) {
        scored.text.written.is_special.push_back(false);
        scored.text.written.begins.push_back(k);
        scored.text.written.text += 'a';
        TokenScore score;
        score.token = 1;
        scored.text.scores.push_back(score);
      }
      scored.text.written.begins.push_back(scored.text.written.text.size());
      scored.top.assign(scored.text.scores.size() * kPageAlternatives, {});
      page.add(scored);
    }
    pages[backwards] = page.html();
  }
  CHECK(pages[0] == pages[1]);
  CHECK(pages[0].find("text 3") != std::string::npos);
  CHECK(pages[0].find("text 4") == std::string::npos);
  CHECK(pages[0].find("5 texts; 4 texts are shown") != std::string::npos);
}
