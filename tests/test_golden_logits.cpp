// Goldens: both forms are read, what is wrong in them is named, and distances are those of plain loops.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/io/safetensors_sink.h"
#include "src/measure/golden.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

const Model& three_tokens() {
  static const Model model = convert_fixture(make_checkpoint({}));
  return model;
}

std::vector<GoldenText> golden_of(std::string_view text) {
  return read_golden(std::as_bytes(std::span(text)), "golden", three_tokens().config());
}

EngineOptions options_of(uint32_t chunk) {
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.prefill_chunk = chunk;
  return options;
}

// The tensors with these values as a file.
AlignedBuffer<std::byte> file_of(std::vector<TensorInfo> tensors, const std::vector<std::vector<float>>& values) {
  MemorySink memory;
  SafetensorsSink sink(memory, std::move(tensors));
  for (size_t i = 0; i < values.size(); ++i) sink.write(i, 0, values[i]);
  return memory.take();
}

float bits_of(int32_t value) {
  float bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

TEST_CASE("golden: distances are those of plain loops, whatever the chunk") {
  const std::vector<int32_t> tokens = {0, 2, 1, 1, 2, 0, 1};
  RunOptions run;
  run.kernels = runnable_kernels().tables[0];
  const std::vector<float> logits = logits_of(three_tokens(), tokens, run);
  std::string rows;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double value = static_cast<double>(logits[i]) + (i == 4 ? 0.25 : 0.0);
    rows += (i % 3 == 0 ? i == 0 ? "[" : "],[" : ",") + json_number(value);
  }
  const std::vector<GoldenText> texts =
      golden_of("\n{\"tokens\":[0,2,1,1,2,0,1],\"logits\":[" + rows + "]]}\n{\"logits\":[1,2,3.5],\"tokens\":[2,1]}");
  REQUIRE(texts.size() == 2);
  CHECK(texts[1].place == "golden:3");
  CHECK(texts[1].n_rows == 1);
  for (const uint32_t chunk : {1u, 3u, 64u}) {
    Engine engine(three_tokens(), options_of(chunk));
    const std::vector<RowDistance> distances = compare_golden(engine, texts[0]);
    REQUIRE(distances.size() == tokens.size());
    for (size_t i = 0; i < distances.size(); ++i) {
      CHECK(distances[i].difference == (i == 1 ? 0.25 : 0.0));
      CHECK((distances[i].kl > 0) == (i == 1));
    }
    double p[3], q[3], p_sum = 0, q_sum = 0, kl = 0;
    for (size_t i = 0; i < 3; ++i) {
      q_sum += q[i] = std::exp(static_cast<double>(logits[3 + i]));
      p_sum += p[i] = std::exp(static_cast<double>(logits[3 + i]) + (i == 1 ? 0.25 : 0.0));
    }
    for (size_t i = 0; i < 3; ++i) kl += p[i] / p_sum * std::log(p[i] / p_sum / (q[i] / q_sum));
    CHECK(std::abs(distances[1].kl - kl) <= 1e-6);
    const std::vector<RowDistance> last = compare_golden(engine, texts[1]);
    REQUIRE(last.size() == 1);
    CHECK(last[0].spread == 2.5);
  }
}

TEST_CASE("golden: tensors in pairs, of the last row or of all") {
  const AlignedBuffer<std::byte> file = file_of(
      {{"logits.b", "F64", {3}, 0, 0}, {"tokens.b", "I64", {1}, 0, 0}, {"logits.a", "F32", {2, 3}, 0, 0},
       {"tokens.a", "I32", {2}, 0, 0}},
      {{0, 0, 0, -2, 0, 1.875f}, {bits_of(2), 0}, {1, 2, 3, 4, 5, 6}, {bits_of(1), bits_of(0)}});
  const std::vector<GoldenText> texts = read_golden(file.span(), "golden", three_tokens().config());
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].place == "golden: tokens.b");
  CHECK(texts[0].tokens == std::vector<int32_t>{2});
  CHECK(texts[1].tokens == std::vector<int32_t>{1, 0});
  std::vector<double> row(3);
  texts[1].read_row(1, row);
  CHECK(row == std::vector<double>{4, 5, 6});
  texts[0].read_row(0, row);
  CHECK(row == std::vector<double>{0, -2, 1});
}

TEST_CASE("golden: what does not fit is named") {
  const auto refused = [](std::string_view text, std::string_view word) {
    const Failure failure = failure_of([&] { golden_of(text); });
    CHECK(failure.code == 4);
    CHECK_MESSAGE(failure.message.find(word) != std::string::npos, failure.message);
  };
  refused("", "none");
  refused("[1]", "\"tokens\"");
  refused("{\"tokens\":[0]}", "\"logits\"");
  refused("{\"tokens\":[0],", "golden:1:");
  refused("{\"tokens\":3,\"logits\":[1,2,3]}", "an array of tokens");
  refused("{\"tokens\":[3],\"logits\":[1,2,3]}", "tokens below 3");
  refused("{\"tokens\":[-1],\"logits\":[1,2,3]}", "tokens below 3");
  refused("{\"tokens\":[],\"logits\":[1,2,3]}", "1 to 80 tokens");
  refused("{\"tokens\":[0],\"logits\":[1,2]}", "rows of 3 logits");
  refused("{\"tokens\":[0],\"logits\":[]}", "logits");
  refused("{\"tokens\":[0],\"logits\":[1,2,\"3\"]}", "logits");
  refused("{\"tokens\":[0,1],\"logits\":[[1,2,3],[1,2]]}", "as the first");
  refused("{\"tokens\":[0,1],\"logits\":[[1,2,3],[1,2,3],[1,2,3]]}", "one a token");
  const auto tensors = [](std::vector<TensorInfo> infos, std::string_view word) {
    const AlignedBuffer<std::byte> file = file_of(std::move(infos), {});
    const Failure failure = failure_of([&] { read_golden(file.span(), "golden", three_tokens().config()); });
    CHECK(failure.code == 4);
    CHECK_MESSAGE(failure.message.find(word) != std::string::npos, failure.message);
  };
  tensors({{"tokens", "I32", {2}, 0, 0}}, "the tensor \"logits\"");
  tensors({{"logits", "F32", {2}, 0, 0}}, "\"tokens\"");
  tensors({{"tokens", "F32", {2}, 0, 0}, {"logits", "F32", {2, 3}, 0, 0}}, "I32 or I64");
  tensors({{"tokens", "I32", {81}, 0, 0}, {"logits", "F32", {3}, 0, 0}}, "at most 80");
  tensors({{"tokens", "I32", {2}, 0, 0}, {"logits", "F16", {2, 3}, 0, 0}}, "F32 or F64");
  tensors({{"tokens", "I32", {2}, 0, 0}, {"logits", "F32", {1, 2, 3}, 0, 0}}, "F32 or F64");
  tensors({{"tokens", "I32", {2}, 0, 0}, {"logits", "F32", {2, 4}, 0, 0}}, "rows of 3");
  tensors({{"tokens", "I32", {2}, 0, 0}, {"logits", "F32", {3, 3}, 0, 0}}, "one a token");
  std::vector<double> row(3);
  const std::vector<GoldenText> wide = golden_of("{\"tokens\":[0],\"logits\":[1,2,1e300]}");
  CHECK(failure_of([&] { wide[0].read_row(0, row); }).message.find("1e+300") != std::string::npos);
}
