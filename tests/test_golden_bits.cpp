// The bits of logits, committed: x86 and Arm cannot be compared in one run, so each compares itself with the same hashes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/base/hash.h"
#include "src/convert/convert.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// XXH3 of the logits of all rows. A change to the converter or to a definition in scalar.cpp changes them on purpose: take the
// scalar tier's from the failing test's message, on any machine.
struct Golden {
  const char* model;
  DType dtype;
  KvType kv_type;
  const char* hash;
};
constexpr Golden kGoldens[] = {
    {"books", DType::f32, KvType::f32, "19484af31ffcdfff"},     {"books", DType::f32, KvType::f16, "0242574af8bd3364"},
    {"books", DType::int8, KvType::f16, "85c99e52ecb26896"},    {"books", DType::int4, KvType::f16, "9a21d7d7e9fd4046"},
    {"width 48", DType::f32, KvType::f32, "36a6acd52d7f3e0b"},  {"width 48", DType::f32, KvType::f16, "95c2ccb7942c5e3e"},
    {"width 48", DType::int8, KvType::f16, "8af99830ff27b70a"}, {"width 48", DType::int4, KvType::f16, "3a1db930f2b7ab95"},
};

Model convert_as(const std::string& directory, DType dtype) {
  MemorySink sink;
  ConvertOptions options;
  options.dtype = dtype;
  convert_checkpoint(directory, options, sink, nullptr);
  return Model::from_memory(sink.take(), directory);
}

}  // namespace

TEST_CASE("golden bits: logits are the committed ones on every tier, whatever the architecture") {
  const std::string width_48 = make_checkpoint({}).write();
  const KernelList list = runnable_kernels();
  for (const Golden& golden : kGoldens) {
    const bool is_books = std::string(golden.model) == "books";
    const Model model = convert_as(is_books ? source_path("models/books") : width_48, golden.dtype);
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
