// The proof that speculation changes no text, at a size that takes minutes: runs where GPT2_SPEC_TARGET and GPT2_SPEC_DRAFT name
// model files (make spec-proof).
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/speculated_texts.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr size_t kPrompts = 200, kPromptTokens = 32;

// Stretches of a text, evenly spread; every fourth is given twice, so that a look-up finds something.
std::vector<Tokens> cut_prompts(const Model& model, const std::string& text) {
  const Tokens all = model.tokenizer().encode(text);
  REQUIRE(all.size() > kPrompts);
  std::vector<Tokens> prompts;
  for (size_t i = 0; i < kPrompts; ++i) {
    const auto begin = all.begin() + static_cast<ptrdiff_t>((all.size() - kPromptTokens) * i / kPrompts);
    Tokens& prompt = prompts.emplace_back(begin, begin + kPromptTokens);
    if (i % 4 == 0) prompt.insert(prompt.end(), begin, begin + kPromptTokens);
  }
  return prompts;
}

}  // namespace

TEST_CASE("speculation proof: 200 prompts give the same text over drafts, sampling, threads and batches") {
  const char* target_path = std::getenv("GPT2_SPEC_TARGET");
  const char* draft_path = std::getenv("GPT2_SPEC_DRAFT");
  if (target_path == nullptr || draft_path == nullptr) return skip("GPT2_SPEC_TARGET and GPT2_SPEC_DRAFT name no models");
  const Model target = Model::open(target_path), draft = Model::open(draft_path);
  const std::vector<Tokens> prompts = cut_prompts(target, read_file(shared_dir() + "/data/books-valid.txt"));
  size_t compared = 0, accepted = 0;
  for (const SamplingOptions& sampling : {greedy(), warm(0.8f, 40, 1.0f), warm(1.0f, 0, 0.95f)}) {
    std::vector<SpecCase> cases;
    for (const Tokens& prompt : prompts) cases.push_back({sampling, prompt, 24});
    const std::vector<Tokens> expected = texts(target, cases, 1, 1, nullptr);
    for (const auto& [model, lookup] : {std::pair(&draft, false), std::pair<const Model*, bool>(nullptr, true), std::pair(&draft, true)}) {
      SpeculationOptions options;
      options.draft = model;
      options.lookup = lookup;
      for (const uint32_t threads : {1u, 2u}) {
        for (const uint32_t batch : {1u, 8u}) {
          SpeculationStats stats;
          const std::vector<Tokens> found = texts(target, cases, threads, batch, &options, &stats);
          for (size_t i = 0; i < cases.size(); ++i) {
            REQUIRE_MESSAGE(found[i] == expected[i], "prompt " << i << ", " << threads << " threads, batch " << batch);
            ++compared;
          }
          accepted += stats.accepted[0] + stats.accepted[1];
        }
      }
    }
  }
  CHECK(compared == kPrompts * 3 * 3 * 2 * 2);
  CHECK(accepted > compared);
  MESSAGE(compared << " texts equal to those without speculation; " << accepted << " proposed tokens accepted");
}
