// A prompt that was computed before costs its new tokens only, in this process or, through a file, in the next, with the same bits; and
// a file that is not what it says changes nothing.
#include <doctest/doctest.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/engine/batcher.h"
#include "src/engine/prompt_cache.h"
#include "src/convert/convert.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

EngineOptions options(bool cache = true, KvType kv_type = KvType::f32) {
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.kv_type = kv_type;
  options.prefix_cache = cache;
  return options;
}

// GPT-2's context at the cost of nothing.
const Model& wide_context() {
  static const Model model = [] {
    FixtureShape shape;
    shape.n_ctx = 1024;
    return convert_fixture(make_checkpoint(shape));
  }();
  return model;
}

std::vector<int32_t> tokens_of(size_t n, uint64_t seed, const Model& model) {
  Numbers numbers(seed);
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % model.config().n_vocab));
  return tokens;
}

// What a prompt finds computed, and the bits of what comes after it: the log-probabilities of the likeliest tokens.
struct Warm {
  uint32_t n_cached = 0;
  std::vector<float> bits;
};

Warm compute(Engine& engine, const std::vector<int32_t>& prompt) {
  Request request;
  request.max_new_tokens = 1;
  request.n_logprobs = kMaxLogprobs;
  const SlotId slot = engine.insert(engine.start(prompt, request));
  Warm warm = {engine.sequence(slot).n_computed(), {}};
  StepResult step;
  while (step.tokens.empty()) {
    const Sequence& text = engine.sequence(slot);
    const StepRows rows = {slot, std::min(engine.limits().prompt_rows, text.n_known() - text.n_computed())};
    step = engine.generate({&rows, 1}).front();
  }
  for (const TokenLogprob& likely : step.top) warm.bits.push_back(likely.logprob);
  engine.remove(slot);
  return warm;
}

std::vector<float> cold_bits(const Model& model, const std::vector<int32_t>& prompt, KvType kv_type = KvType::f32) {
  Engine engine(model, options(false, kv_type));
  return compute(engine, prompt).bits;
}

// Computes a prompt and saves it; the bytes of the file.
std::string saved(const std::string& path, const Model& model, const std::vector<int32_t>& prompt, KvType kv_type = KvType::f32) {
  Engine engine(model, options(true, kv_type));
  compute(engine, prompt);
  save_prompt_cache(path, prompt, engine, {});
  return read_file(path);
}

}  // namespace

TEST_CASE("prefix cache: 600 tokens that share 512 with an earlier prompt compute 88, and the bits are those of a cold run") {
  const Model& model = wide_context();
  const std::vector<int32_t> first = tokens_of(530, 1, model);
  std::vector<int32_t> second(first.begin(), first.begin() + 512);
  const std::vector<int32_t> rest = tokens_of(88, 2, model);
  second.insert(second.end(), rest.begin(), rest.end());
  Engine engine(model, options());
  compute(engine, first);
  const Warm warm = compute(engine, second);
  CHECK(second.size() - warm.n_cached == 88);
  CHECK(warm.bits == cold_bits(model, second));
}

TEST_CASE("prefix cache: a prompt of whole blocks that is known computes its last block") {
  const Model& model = wide_context();
  const std::vector<int32_t> prompt = tokens_of(128, 3, model);
  Engine engine(model, options());
  compute(engine, prompt);
  CHECK(compute(engine, prompt).n_cached == 64);
}

TEST_CASE("prompt cache: the next process computes the rest only, and the bits are those of a cold run") {
  const std::string path = temp_dir() + "/cache";
  const Model& model = wide_context();
  for (const KvType kv_type : {KvType::f32, KvType::f16}) {
    const std::vector<int32_t> prompt = tokens_of(300, 4, model);
    saved(path, model, prompt, kv_type);
    Engine engine(model, options(true, kv_type));
    const std::vector<int32_t> known = load_prompt_cache(path, engine);
    CHECK(known == std::vector<int32_t>(prompt.begin(), prompt.begin() + 256));
    const Warm same = compute(engine, prompt);
    CHECK(same.n_cached == 256);
    CHECK(same.bits == cold_bits(model, prompt, kv_type));
    std::vector<int32_t> other = prompt;
    other[100] = (other[100] + 1) % 3;
    CHECK(compute(engine, other).n_cached == 64);
  }
  Engine engine(model, options());
  const std::vector<int32_t> little = tokens_of(63, 5, model);
  compute(engine, little);
  save_prompt_cache(path + "-none", little, engine, {});
  CHECK_THROWS_AS(load_prompt_cache(path + "-none", engine), Error);
}

TEST_CASE("prompt cache: every byte changed and every cut is refused, and the engine is as it was") {
  const std::string path = temp_dir() + "/cache";
  const Model model = convert_fixture(make_checkpoint({}));
  const std::vector<int32_t> prompt = tokens_of(70, 6, model);
  const std::string whole = saved(path, model, prompt);
  Engine engine(model, options());
  const size_t free = engine.available_blocks();
  size_t refused = 0, tried = 0;
  const auto refuses = [&](const std::string& bytes) {
    write_file(path, bytes);
    ++tried;
    const Failure failure = failure_of([&] { load_prompt_cache(path, engine); });
    refused += failure.code == 3 && failure.message.find(path) == 0 && failure.message.find('\n') == std::string::npos ? 1 : 0;
    return failure.message;
  };
  for (size_t i = 0; i < whole.size(); i += i < 400 ? 1 : 97) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    refuses(changed);
  }
  for (size_t n = 1; n < whole.size(); n += n < 400 ? 1 : 997) refuses(whole.substr(0, n));
  refuses(whole + "x");
  CHECK(refused == tried);
  CHECK(engine.available_blocks() == free);
  CHECK(engine.prefix_cache().size() == 0);
  CHECK(refuses("gpt2-kv\n").find("size") != std::string::npos);
  write_file(path, whole);
  CHECK(load_prompt_cache(path, engine).size() == 64);
  CHECK(compute(engine, prompt).bits == cold_bits(model, prompt));
}

TEST_CASE("prompt cache: another model, another type of cache and another bf16 tier are refused by name") {
  const std::string path = temp_dir() + "/cache";
  const CheckpointFixture fixture = make_checkpoint({});
  const Model model = convert_fixture(fixture), other = convert_fixture(make_checkpoint({}, 2));
  saved(path, model, tokens_of(64, 7, model));
  const auto refusal = [&](const Model& by, const EngineOptions& with) {
    Engine engine(by, with);
    return failure_of([&] { load_prompt_cache(path, engine); }).message;
  };
  CHECK(refusal(other, options()).find(": model: expected") != std::string::npos);
  CHECK(refusal(model, options(true, KvType::f16)).find(": type of the cache: expected f16") != std::string::npos);
  MemorySink sink;
  ConvertOptions as_bf16;
  as_bf16.dtype = DType::bf16;
  convert_checkpoint(fixture.write(), as_bf16, sink, nullptr);
  const Model bf16 = Model::from_memory(sink.take(), "bf16");
  saved(path, bf16, tokens_of(64, 8, bf16));
  EngineOptions scalar = options();
  scalar.kernels = find_kernels("scalar");
  CHECK(refusal(bf16, options()).empty());
  CHECK(refusal(bf16, scalar).find(": arithmetic: expected scalar, found ") != std::string::npos);
}
