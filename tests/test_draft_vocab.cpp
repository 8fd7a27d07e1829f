// A draft whose head has the rows of some tokens only: which it keeps, what it computes, and what it may propose.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "src/engine/model_drafter.h"
#include "src/engine/noise.h"
#include "src/convert/convert.h"
#include "src/model/model_file.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/speculated_texts.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

using Ids = std::vector<uint32_t>;

CheckpointFixture books_like(uint64_t seed) {
  FixtureShape shape;
  shape.n_vocab = books().config().n_vocab;
  CheckpointFixture fixture = make_checkpoint(shape, seed);
  const std::string source = source_path("models/books/");
  fixture.vocab_json = read_file(source + "vocab.json");
  fixture.merges_txt = read_file(source + "merges.txt");
  return fixture;
}

Model reduced(const CheckpointFixture& fixture, uint32_t n, const std::string& text = "", DType dtype = DType::f32) {
  ConvertOptions options;
  options.dtype = dtype;
  options.draft_vocab = n;
  options.draft_text = text;
  return convert_fixture(fixture, options);
}

// The token drafted after each of these texts.
Tokens drafted(const Model& draft, const std::vector<Tokens>& prompts, const SamplingOptions& sampling) {
  ThreadTeam team(1);
  ModelDrafter drafter(books(), draft, {runnable_kernels().tables[0], &team, 1, KvType::f32, Verification::coupled});
  Tokens tokens;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const DraftRequest request = {0, prompts[i], 0, prompts[i].size(), i, 0, &sampling};
    tokens.push_back(drafter.step({&request, 1})[0].token);
  }
  return tokens;
}

std::vector<Tokens> some_prompts() {
  std::vector<Tokens> prompts(30);
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (int32_t j = 0; j < 5; ++j) prompts[i].push_back(static_cast<int32_t>(PositionNoise(i, 0, 7).bits(j) % 4000));
  }
  return prompts;
}

}  // namespace

TEST_CASE("draft vocabulary: end-of-text tokens, then the most frequent, ties and the rest by the lowest id") {
  const Model model = convert_fixture(make_checkpoint({}));  // a, b, ab
  const auto kept = [&](std::vector<int32_t> eos, std::string_view text, uint32_t n) {
    return frequent_tokens(model.tokenizer(), eos, text, n);
  };
  CHECK(kept({}, "bbba", 1) == Ids{1});
  CHECK(kept({}, "aaab", 1) == Ids{0});
  CHECK(kept({}, "ababab", 2) == Ids{0, 2});  // "a" as the lowest id that the text lacks
  CHECK(kept({}, "ab", 1) == Ids{2});
  CHECK(kept({}, "", 2) == Ids{0, 1});
  CHECK(kept({}, "ba", 1) == Ids{0});  // one each
  CHECK(kept({2}, "bbb", 2) == Ids{1, 2});
  CHECK(kept({2}, "bbb", 1) == Ids{2});
  CHECK(kept({2}, "bbb", 3) == Ids{0, 1, 2});
  const Failure failure = failure_of([&] { kept({}, "a", 4); });
  CHECK(failure.code == 4);
  CHECK(failure.message.find("--draft-vocab") != std::string::npos);
}

TEST_CASE("draft vocabulary: the head's rows are those of its tokens, tied or not, in every type") {
  for (const bool tied : {true, false}) {
    CheckpointFixture fixture = books_like(5);
    if (!tied) {
      fixture.tensors["lm_head.weight"] = fixture.tensors["wte.weight"];
      fixture.shapes["lm_head.weight"] = fixture.shapes["wte.weight"];
      std::reverse(fixture.tensors["lm_head.weight"].begin(), fixture.tensors["lm_head.weight"].end());
      fixture.config_json.insert(1, "\"tie_word_embeddings\":false,");
    }
    for (const DType dtype : {DType::f32, DType::bf16, DType::int8, DType::int8g32}) {
      ConvertOptions options;
      options.dtype = dtype;
      const Model whole = convert_fixture(fixture, options), draft = reduced(fixture, 100, "The old captain said", dtype);
      verify_checksums(draft.file(), draft.name());
      const auto find = [](const Model& model, std::string_view name) {
        const auto& all = model.file().tensors;
        const auto found = std::find_if(all.begin(), all.end(), [&](const StoredTensor& t) { return t.spec.name == name; });
        REQUIRE(found != all.end());
        return read_tensor(*found, model.config()).values;
      };
      const std::vector<float> all = find(whole, tied ? "wte.weight" : "lm_head.weight"), rows = find(draft, kDraftHead);
      const auto ids = draft.weights().draft_ids;
      const size_t n_embd = whole.config().n_embd;
      REQUIRE(ids.size() == 100);
      REQUIRE(rows.size() == 100 * n_embd);
      CHECK(find(draft, "wte.weight") == find(whole, "wte.weight"));
      for (size_t i = 0; i < ids.size(); ++i) {
        REQUIRE(std::equal(rows.begin() + static_cast<ptrdiff_t>(i * n_embd), rows.begin() + static_cast<ptrdiff_t>((i + 1) * n_embd),
                           all.begin() + static_cast<ptrdiff_t>(ids[i] * n_embd)));
      }
    }
  }
}

TEST_CASE("draft vocabulary: a draft proposes the best of its tokens, and with all of them what the whole head proposes") {
  const CheckpointFixture fixture = books_like(6);
  const uint32_t n_vocab = books().config().n_vocab;
  const Model whole = convert_fixture(fixture), all = reduced(fixture, n_vocab), few = reduced(fixture, 300, "the sea was a captain");
  const std::vector<Tokens> prompts = some_prompts();
  SamplingOptions biased = warm(0.8f, 40, 1.0f);
  biased.repetition_penalty = 1.3f;
  biased.logit_bias = {{17, 5.0f}};
  for (const SamplingOptions& sampling : {greedy(), warm(1.0f, 0, 0.95f), warm(0.8f, 40, 1.0f), biased}) {
    const Tokens expected = drafted(whole, prompts, sampling);
    CHECK(drafted(all, prompts, sampling) == expected);
    const Tokens found = drafted(few, prompts, sampling);
    const auto ids = few.weights().draft_ids;
    for (const int32_t token : found) REQUIRE(std::binary_search(ids.begin(), ids.end(), static_cast<uint32_t>(token)));
  }
  // What the whole head chooses when it may choose no other.
  SamplingOptions others = greedy();
  const auto ids = few.weights().draft_ids;
  for (uint32_t id = 0; id < n_vocab; ++id) {
    if (!std::binary_search(ids.begin(), ids.end(), id)) others.forbidden.push_back(static_cast<int32_t>(id));
  }
  CHECK(drafted(few, prompts, greedy()) == drafted(whole, prompts, others));
}

TEST_CASE("draft vocabulary: the text is that without it") {
  std::vector<SpecCase> cases;
  for (const Tokens& prompt : some_prompts()) {
    if (cases.size() < 9) cases.push_back({cases.size() % 3 == 0 ? greedy() : warm(1.0f, 40, 0.95f), prompt, 24});
  }
  // The target's own weights with half a head: agrees wherever its tokens are chosen.
  ConvertOptions options;
  options.draft_vocab = 700;
  options.draft_text = read_file(source_path("README.md"));
  MemorySink sink;
  convert_checkpoint(source_path("models/books"), options, sink, nullptr);
  const Model draft = Model::from_memory(sink.take(), "draft");
  SpeculationOptions speculation;
  speculation.draft = &draft;
  speculation.policy = DraftPolicy::force;
  speculation.max_draft = 5;
  SpeculationStats stats;
  CHECK(texts(books(), cases, 1, 4, &speculation, &stats) == texts(books(), cases, 1, 1, nullptr));
  CHECK(stats.accepted[1] > 50);
  CHECK(stats.accepted[1] < stats.drafted[1]);
}

TEST_CASE("draft: a tokenizer with the same tokens and other rules is told of, one with other tokens refused") {
  const auto with = [&](const std::map<std::string, std::string>& files) {
    const std::string copy = make_checkpoint({1, 3, 48, 80, 80, 6}).write();
    for (const auto& [name, text] : files) write_file(copy + "/" + name, text);
    MemorySink sink;
    convert_checkpoint(copy, {}, sink, nullptr);
    return Model::from_memory(sink.take(), "draft.gpt2");
  };
  const Model target = with({});
  CHECK(check_draft_tokenizer(target, with({})).empty());
  const std::string split_and_form =
      R"({"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits",)"
      R"("individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]},)"
      R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
  struct Case {
    std::map<std::string, std::string> files;
    const char* differences;
  };
  const Case kCases[] = {
      {{{"tokenizer_config.json", R"({"bos_token":"a","add_bos_token":true})"}},
       "before a text \"a\" instead of nothing"},
      {{{"tokenizer.json", split_and_form}}, "split rule gpt2_digits instead of gpt2, normal form C instead of none"},
      {{{"added_tokens.json", R"({"ab":2})"}}, "token 2 \"ab\" added instead of plain"},
      {{{"merges.txt", "#version: 0.2\n"}}, "merges these instead of others"}};
  for (const Case& c : kCases) {
    const std::string found = check_draft_tokenizer(target, with(c.files));
    CHECK_MESSAGE(found.find(c.differences) != std::string::npos, found);
  }
  const Model other = with({{"vocab.json", R"({"a":0,"ab":1,"b":2})"}});
  const Failure failure = failure_of([&] { check_draft_tokenizer(target, other); });
  CHECK(failure.code == 3);
  CHECK_MESSAGE(failure.message.find("where id 1 is \"b\"") != std::string::npos, failure.message);
  CHECK_MESSAGE(failure.message.find("found \"ab\"") != std::string::npos, failure.message);
}
