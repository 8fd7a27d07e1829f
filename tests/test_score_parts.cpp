// Parts of texts and what they are worth: which tokens belong to a word or a line, exact sums, and words whose
// probabilities sum to one.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "src/base/error.h"
#include "src/measure/part_scores.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/support.h"
#include "tools/score_rows.h"
#include "tools/score_run.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// A text of tokens as they are written; one in <> is special.
WrittenText written_of(std::initializer_list<std::string_view> tokens) {
  WrittenText text;
  text.begins = {0};
  for (const std::string_view token : tokens) {
    text.text += token;
    text.begins.push_back(text.text.size());
    text.is_special.push_back(token.starts_with('<'));
  }
  return text;
}

// "shown:first-end" of each part.
std::string parts_text(const WrittenText& text, TextUnit unit) {
  std::string out;
  for (const TextPart& part : parts_of(text, unit)) {
    out += text.text.substr(part.begin, part.end - part.begin) + ":" + std::to_string(part.first_token) + "-" +
           std::to_string(part.end_token) + "|";
  }
  return out;
}

}  // namespace

TEST_CASE("parts: words take the white space before them, and the last white space is its own") {
  CHECK(parts_text(written_of({"The", " s", "ea", "."}), TextUnit::word) == "The:0-1|sea.:1-4|");
  CHECK(parts_text(written_of({"a", " ", " ", "b", "\n"}), TextUnit::word) == "a:0-1|b:1-4|\n:4-5|");
  CHECK(parts_text(written_of({" ", "\n"}), TextUnit::word) == " \n:0-2|");
  CHECK(parts_text(written_of({"a.\n", "B"}), TextUnit::word) == "a.:0-1|B:1-2|");  // as Qwen's rule cuts
  CHECK(parts_text(written_of({"a b c", "d"}), TextUnit::word) == "a:0-1|b:1-1|cd:1-2|");
  CHECK(parts_text(written_of({"a", "<end>", "b", " <", "c"}), TextUnit::word) == "a:0-1|<end>:1-2|b:2-3|<c:3-5|");
  CHECK(parts_text(written_of({""}), TextUnit::word) == ":0-1|");
  CHECK(parts_text(written_of({}), TextUnit::word).empty());
}

TEST_CASE("parts: lines, tokens and the whole text") {
  CHECK(parts_text(written_of({"a", "\n", "b", "\r\n", "c"}), TextUnit::line) == "a:0-2|b:2-4|c:4-5|");
  CHECK(parts_text(written_of({"a", "\n\n", "b", "\n"}), TextUnit::line) == "a:0-2|:2-2|b:2-4|");
  CHECK(parts_text(written_of({"a", "\nb"}), TextUnit::line) == "a:0-2|b:2-2|");
  CHECK(parts_text(written_of({"a", "", " b"}), TextUnit::token) == "a:0-1|:1-2| b:2-3|");
  CHECK(parts_text(written_of({"a", " b"}), TextUnit::document) == "a b:0-2|");
  CHECK(parts_text(written_of({}), TextUnit::document) == ":0-0|");
  CHECK(parts_text(written_of({}), TextUnit::line).empty());
}

TEST_CASE("score: sums are exact, in any order and grouping") {
  Numbers numbers(3);
  for (const LogBase base : {LogBase::two, LogBase::e, LogBase::ten}) {
    double forwards = 0, backwards = 0;
    std::vector<double> all;
    for (int i = 0; i < 1000; ++i) all.push_back(in_base(std::abs(numbers.next(30)), base));
    for (size_t i = 0; i < all.size(); ++i) {
      forwards += all[i];
      backwards += all[all.size() - 1 - i];
    }
    CHECK(forwards == backwards);
  }
  CHECK(in_base(std::log(2.0), LogBase::two) == 1.0);
  CHECK(std::abs(in_base(std::log(1000.0), LogBase::ten) - 3) <= 1e-9);
  CHECK(!std::signbit(in_base(-0.0, LogBase::e)));
}

namespace {

// A text over a toy model: the next token depends on the last one alone.
//   tokens: 0 "a", 1 "b", 2 " a", 3 " ", 4 the end
constexpr double kNext[5][5] = {{0.1, 0.2, 0.3, 0.15, 0.25}, {0.25, 0.05, 0.4, 0.1, 0.2}, {0.2, 0.1, 0.2, 0.2, 0.3},
                                {0.3, 0.3, 0.1, 0.1, 0.2},   {0.4, 0.3, 0.1, 0.1, 0.1}};
constexpr std::string_view kTexts[5] = {"a", "b", " a", " ", "<end>"};

double begins(int last) { return kNext[last][2] + kNext[last][3] + kNext[last][4]; }

// The words' probabilities, the last of them; the text stands behind the end of another.
double last_word_probability(const std::vector<int>& tokens) {
  ScoredText text;
  text.written.begins = {0};
  int last = 4;
  for (const int token : tokens) {
    text.written.text += kTexts[token];
    text.written.begins.push_back(text.written.text.size());
    text.written.is_special.push_back(token == 4);
    TokenScore score;
    score.token = token;
    score.logprob = std::log(kNext[last][token]);
    text.scores.push_back(score);
    text.word_logprobs.push_back(std::log(begins(last)));
    last = token;
  }
  text.word_logprobs.push_back(std::log(begins(last)));
  const std::vector<TextPart> parts = parts_of(text.written, TextUnit::word);
  return std::exp(-score_parts(text, parts, LogBase::e).back().surprisal);
}

// Of all words of at most `more` tokens that begin behind `tokens` as they stand; `left` grows by what longer ones
// have.
double sum_of_words(std::vector<int>& tokens, size_t n_before, int more, double& left) {
  const int last = tokens.empty() ? 4 : tokens.back();
  const bool inside = tokens.size() > n_before && (last < 3);
  double sum = inside ? last_word_probability(tokens) : 0;
  if (more == 0) {
    // What goes on, measured by the same word's probability of ending here.
    if (inside) left += sum / begins(last) * (1 - begins(last));
    return sum;
  }
  for (int next = 0; next < 5; ++next) {
    const bool may_follow = inside ? next < 2 : tokens.size() > n_before || n_before == 0 || next >= 2;
    if (!may_follow) continue;
    tokens.push_back(next);
    sum += next == 4 ? last_word_probability(tokens) : sum_of_words(tokens, n_before, more - 1, left);
    tokens.pop_back();
  }
  return sum;
}

}  // namespace

TEST_CASE("score: with --word-correction the probabilities of all words in one place sum to one") {
  for (std::vector<int> before : {std::vector<int>{}, {0}, {1, 2, 1}}) {
    CAPTURE(before.size());
    double left = 0;
    const double sum = sum_of_words(before, before.size(), 9, left);
    // Beside them are only white space that goes on and words of more than 9 tokens.
    CHECK(std::abs(sum + left - 1) <= 1e-6);
    CHECK(sum > 0.97);
  }
}

namespace {

// The fastest tier: the others are slow, and give the same bits.
size_t best_tier() { return runnable_kernels().count - 1; }

struct RunWay {
  uint32_t threads = 1, slots = 8, chunk = 256;
  size_t tier = best_tier();
  uint32_t window = 256, stride = 128;
};

struct RunResult {
  std::string text;
  uint64_t computed_rows = 0, n_failed = 0;
};

// What a run over these records writes.
RunResult run_records(const std::string& records, const ScoreRowsOptions& rows_options, const RunWay& way,
                      bool word_correction = false) {
  const std::string folder = temp_dir();
  write_file(folder + "/in", records);
  const ScoreParser parser(books(), ScoreParser::Bos::automatic, Specials::as_text);
  ScoreInput input({folder + "/in"}, RecordFormat::jsonl, {}, parser);
  BatcherOptions batch;
  batch.engine.kernels = runnable_kernels().tables[way.tier];
  batch.engine.threads = way.threads;
  batch.engine.max_slots = way.slots;
  batch.engine.prefill_chunk = way.chunk;
  Batcher batcher(books(), batch);
  FinishedResults finished(ResultForm::units);
  ResultFile output(folder + "/out", ResultFile::Existing::refuse, InputFiles(), finished);
  const ScoreRows rows(rows_options, books().tokenizer());
  ScoreRunOptions options;
  options.window = way.window;
  options.stride = way.stride;
  options.distribution = true;
  options.n_top = 2;
  if (word_correction)
    options.word_beginnings = word_beginnings(books().tokenizer(), books().config().eos_token_ids);
  ScoreRun run(options, input, batcher, finished, output, [&](const ScoredRecord& scored) {
    return scored.record.failure ? rows.failure(scored.record) : rows.rows(scored.record, scored.text);
  });
  run.run();
  return {read_file(folder + "/out"), batcher.stats().computed_rows, run.n_failed()};
}

std::string token_records(Numbers& numbers, size_t n) {
  std::string records;
  for (size_t i = 0; i < n; ++i) {
    records += "{\"id\":" + std::to_string(i) + (i % 3 == 1 ? R"(,"prefix":"It was a dark and stormy night")" : "") +
               ",\"tokens\":[";
    const size_t length = numbers.bits() % 90;
    for (size_t k = 0; k < length; ++k) records += (k > 0 ? "," : "") + std::to_string(numbers.bits() % 4096);
    records += "]}\n";
  }
  return records;
}

const ScoreRowsOptions kAllOfTokens = {
    ScoreFormat::jsonl, TextUnit::token, LogBase::two,
    {ScoreColumn::tokens, ScoreColumn::surprisal, ScoreColumn::cumulative, ScoreColumn::entropy, ScoreColumn::rank,
     ScoreColumn::best, ScoreColumn::best_probability, ScoreColumn::is_greedy}};

}  // namespace

// GPT2_SCORE_TEXTS: how many.
TEST_CASE("score: a text's rows are the same together and alone, over threads, chunks and kernels") {
  const char* wanted = std::getenv("GPT2_SCORE_TEXTS");
  Numbers numbers(21);
  const std::string records = token_records(numbers, wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 9);
  const RunWay windows = {1, 8, 256, best_tier(), 64, 32};
  std::string alone;
  uint64_t index = 0;
  for (size_t begin = 0; begin < records.size(); ++index) {
    const size_t end = records.find('\n', begin) + 1;
    std::string line = run_records(records.substr(begin, end - begin), kAllOfTokens, windows).text;
    line.replace(line.find("\"index\":0"), 9, "\"index\":" + std::to_string(index));
    alone += line;
    begin = end;
  }
  for (RunWay way : {RunWay{1, 32, 256}, RunWay{2, 5, 33}, RunWay{2, 3, 7}}) {
    way.window = 64;
    way.stride = 32;
    REQUIRE(run_records(records, kAllOfTokens, way).text == alone);
  }
  for (size_t tier = 0; tier < best_tier(); ++tier)
    REQUIRE(run_records(records, kAllOfTokens, {2, 8, 64, tier, 64, 32}).text == alone);
}

TEST_CASE("score: a text's surprisal is the NLL that evaluate() gives, over windows too, and its parts' sum") {
  const std::string text = read_file(source_path("README.md")).substr(0, 3000);
  std::vector<int32_t> tokens = {books().config().bos_token_id};
  books().tokenizer().encode(text, Specials::as_text, tokens);
  EvalOptions options;
  options.kernels = runnable_kernels().tables[best_tier()];
  options.window = 100;
  options.stride = 30;
  const double nll = evaluate(books(), nullptr, tokens, options).nll;
  const std::string record = "{\"text\":" + json_quote(text) + "}\n";
  for (const TextUnit unit : {TextUnit::document, TextUnit::line, TextUnit::word, TextUnit::token}) {
    CAPTURE(name_of(unit));
    const RunWay way = {1, 8, 64, best_tier(), 100, 30};
    const RunResult result =
        run_records(record, {ScoreFormat::tsv, unit, LogBase::e, {ScoreColumn::surprisal}}, way);
    double sum = 0;
    for (size_t begin = 0; begin < result.text.size(); begin = result.text.find('\n', begin) + 1)
      sum += std::strtod(result.text.c_str() + begin, nullptr);
    CHECK(sum == nll);
  }
}

TEST_CASE("score: the beginning that records have in common is computed once") {
  std::string records;
  const std::string prefix = "When the sun rose over the hills, and all the birds began to sing, he saw a";
  for (const std::string end : {" dog.", " cat.", " captain."})
    records += "{\"prefix\":\"" + prefix + "\",\"text\":\"" + end + "\"}\n";
  const ScoreRowsOptions rows = {ScoreFormat::jsonl, TextUnit::document, LogBase::e, {ScoreColumn::surprisal}};
  const uint64_t once = run_records(records.substr(0, records.find('\n') + 1), rows, {}).computed_rows;
  CHECK(once > 15);
  CHECK(run_records(records, rows, {}).computed_rows < once + 12);
}

TEST_CASE("score: with --word-correction a text is worth its tokens, and that it ends") {
  const std::string record = R"({"prefix":"He said","text":" that the sea was  blue.\n\nYes"})" "\n";
  const auto sum_of = [&](TextUnit unit, bool corrected) {
    const RunResult result =
        run_records(record, {ScoreFormat::tsv, unit, LogBase::two, {ScoreColumn::cumulative}}, {}, corrected);
    const size_t last = result.text.rfind('\n', result.text.size() - 2);
    return std::strtod(result.text.c_str() + (last == std::string::npos ? 0 : last + 1), nullptr);
  };
  const double plain = sum_of(TextUnit::word, false), corrected = sum_of(TextUnit::word, true);
  CHECK(plain == sum_of(TextUnit::token, false));
  CHECK(std::abs(corrected - plain) > 1e-3);
  CHECK(std::abs(corrected - plain) < 10);
}

TEST_CASE("score: cells of tables stay in their cell") {
  CHECK(tsv_cell("a\tb\\\n\xC3\xA9\xC3|\xFF") == "a\\tb\\\\\\n\xC3\xA9\\xC3|\\xFF");
  CHECK(csv_cell("plain") == "plain");
  CHECK(csv_cell("a,\"b\"\n") == "\"a,\"\"b\"\"\n\"");
  CHECK(csv_cell("\xFF,") == "\"\xEF\xBF\xBD,\"");
}
