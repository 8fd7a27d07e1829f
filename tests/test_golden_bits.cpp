// The bits of logits, committed: x86 and Arm cannot be compared in one run, so each compares itself with the same hashes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/base/hash.h"
#include "src/convert/convert.h"
#include "tests/family_goldens.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// XXH3 of the logits of all rows. A change to the converter or to a definition in scalar.cpp changes them on purpose: take the
// scalar tier's from the failing test's message, on any machine.
struct GoldenBits {
  const char* model;
  DType dtype;
  KvType kv_type;
  const char* hash;
};
constexpr GoldenBits kGoldens[] = {
    {"books", DType::f32, KvType::f32, "19484af31ffcdfff"},     {"books", DType::f32, KvType::f16, "0242574af8bd3364"},
    {"books", DType::int8, KvType::f16, "85c99e52ecb26896"},    {"books", DType::int4, KvType::f16, "9a21d7d7e9fd4046"},
    {"width 48", DType::f32, KvType::f32, "36a6acd52d7f3e0b"},  {"width 48", DType::f32, KvType::f16, "95c2ccb7942c5e3e"},
    {"width 48", DType::int8, KvType::f16, "8af99830ff27b70a"}, {"width 48", DType::int4, KvType::f16, "3a1db930f2b7ab95"},
    {"books", DType::int8g32, KvType::f16, "885f4c96604a0359"}, {"width 48", DType::int8g32, KvType::f16, "ff4e5cc46c18cce0"},
};

// The same of the checkpoints of tests/data/family, in each of these types.
constexpr DType kFamilyTypes[] = {DType::f32, DType::int8, DType::int4};
struct FamilyGolden {
  const char *name, *hashes[3];
};
constexpr FamilyGolden kFamilyGoldens[] = {
    {"llama2", {"26985b90d6ad797b", "f5edc3c562339bfd", "657624c8e0c682bf"}},
    {"llama32", {"c2945b8b023dab76", "5a59ea51e631f785", "9cf37d4dabb92459"}},
    {"llama_linear", {"2f0c6b38d370cc40", "a3dd131c3b7e1aac", "d0fa3a78d26f37fa"}},
    {"mistral", {"e3830729d7f516aa", "867d2e96818d58aa", "14dde56ede77fa28"}},
    {"qwen2", {"233c3300cd31f286", "a0034dfef4da7085", "56af1a7be12c9164"}},
    {"gemma", {"ddcaf304bd1dda74", "337216d54ad19bb0", "4e6ca218e64f58ab"}},
    {"stablelm", {"b0ea31ab6289b672", "4d0ac5a16ca1f0f2", "9d15e00740707018"}},
    {"gpt_bigcode_mqa", {"64755c9ef2331141", "e0d3a2bb233e9157", "559e81fa1b1c28fe"}},
    {"gpt_bigcode_mha", {"5fb56f5299254bde", "d4ec0c63cdb9bef6", "f48b2d8600fae0bc"}},
    {"gptj", {"b1acf32ac7a1efc1", "328229edebb2eab6", "e41a9693c2a7d68b"}},
    {"gpt_neox", {"d0e175a33b6bf450", "486fd6d283ddcf23", "1f0aacf57c1a6ebd"}},
    {"gpt_neox_serial", {"55d526fb41b1a5d0", "ccfc4cb31699b915", "f9c0debeb3d290d3"}},
    {"gpt_neo", {"076f012079b2283d", "ae28b62442037f37", "71c9f76468183cc3"}},
    {"opt", {"6af33799a0d11590", "521384f58d4db99e", "dbbe43ee34884439"}},
    {"phi", {"b78f0b1837093b78", "fcc9eca792450cae", "121d2cc349200af0"}},
    {"stablelm_parallel", {"b44e15c724448023", "ba37718d95eb551e", "04b45361043e5223"}},
    {"llama_biases", {"c4eed901869ceea1", "ed4662530f4ec6a7", "ccc0c95472a0397e"}},
    {"qwen2_window", {"a08ddd352b4b47f0", "e620b7696c8be960", "6d96c6bb48ee908c"}},
};

}  // namespace

TEST_CASE("golden bits: logits are the committed ones on every tier, whatever the architecture") {
  const std::string width_48 = make_checkpoint({}).write();
  const KernelList list = runnable_kernels();
  for (const GoldenBits& golden : kGoldens) {
    const bool is_books = std::string(golden.model) == "books";
    const Model model = convert_model(is_books ? source_path("models/books") : width_48, golden.dtype);
    std::vector<int32_t> tokens;
    Numbers numbers(40);
    for (size_t i = 0; i < (is_books ? 20u : 70u); ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % model.config().n_vocab));
    for (size_t i = 0; i < list.count; ++i) {
      // One row and then many: both tiles.
      for (const uint32_t chunk : {1u, 1u << 30}) {
        const std::vector<float> logits = logits_of(model, tokens, {list.tables[i], 2, chunk, golden.kv_type});
        REQUIRE(std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); }));
        const std::string hash = hex64(xxh3(std::as_bytes(std::span(logits))));
        CHECK_MESSAGE(hash == std::string(golden.hash), std::string(golden.model) << ", type " << static_cast<int>(golden.dtype) << ", cache "
                                                        << static_cast<int>(golden.kv_type) << ", " << std::string(list.tables[i]->name)
                                                        << ", chunks of " << chunk << ": " << hash);
      }
    }
  }
}

TEST_CASE("golden bits: converted checkpoints of every architecture, in every type and on every tier") {
  const Goldens goldens;
  const KernelList list = runnable_kernels();
  REQUIRE(goldens.cases.size() == std::size(kFamilyGoldens));
  for (size_t c = 0; c < goldens.cases.size(); ++c) {
    const FamilyGolden& golden = kFamilyGoldens[c];
    REQUIRE(goldens.cases[c].name == golden.name);
    const CheckpointFixture fixture = checkpoint_of(goldens.cases[c]);
    const std::string directory = fixture.write();
    for (size_t t = 0; t < std::size(golden.hashes); ++t) {
      const DType dtype = kFamilyTypes[t];
      const Model model = convert_model(directory, dtype);
      const KvType kv_type = dtype == DType::f32 ? KvType::f32 : KvType::f16;
      for (size_t i = 0; i < list.count; ++i) {
        const std::vector<float> logits = logits_of(model, goldens.ids, {list.tables[i], 2, 1u << 30, kv_type});
        const std::string hash = hex64(xxh3(std::as_bytes(std::span(logits))));
        CHECK_MESSAGE(hash == std::string(golden.hashes[t]),
                      std::string(golden.name) << ", type " << static_cast<int>(dtype) << ", "
                                               << std::string(list.tables[i]->name) << ": " << hash);
      }
    }
  }
}
