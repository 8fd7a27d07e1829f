// Quantised GGUF files whose types are kept: the same codes and scales, whatever rows move, and what has no equal.
#include <doctest/doctest.h>

#include <cstring>

#include "src/base/error.h"
#include "src/convert/gguf_blocks.h"
#include "src/convert/gguf_export.h"
#include "src/convert/keep_types.h"
#include "src/io/mapped_file.h"
#include "tests/fixtures.h"
#include "tests/gguf_models.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Kept {
  Model model;
  std::string types;
};

Kept keep(const std::string& path, const ConvertOptions& options = {}) {
  MemorySink sink;
  KeptReport report = convert_keeping_types(path, options, sink, nullptr);
  return {Model::from_memory(sink.take(), path), std::move(report.types)};
}

const StoredTensor& tensor_of(const Model& model, std::string_view name) {
  for (const StoredTensor& tensor : model.file().tensors) {
    if (tensor.spec.name == name) return tensor;
  }
  REQUIRE_MESSAGE(false, "no tensor " << std::string(name));
  return model.file().tensors[0];
}

// Blocks of any codes, with a scale of either sign that f16 holds exactly also a quarter of: not of the first `n_tiny`.
std::string blocks(GgufType type, uint64_t n_weights, size_t n_tiny = 0) {
  const GgufTypeInfo& info = gguf_type_info(type);
  std::string data(n_weights / info.weights * info.bytes, '\0');
  uint32_t random = 1;
  for (char& byte : data) byte = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
  for (size_t at = 0, i = 0; at < data.size(); at += info.bytes, ++i) {
    uint16_t scale;
    std::memcpy(&scale, &data[at], sizeof scale);
    scale = static_cast<uint16_t>((scale & 0x8FFF) | 0x2000);
    if (i < n_tiny) scale = 1;  // the smallest subnormal
    std::memcpy(&data[at], &scale, sizeof scale);
  }
  return data;
}

void set_blocks(GgufCopy& copy, const std::string& name, GgufType type, size_t n_tiny = 0) {
  GgufCopy::Tensor& tensor = copy.tensor(name);
  uint64_t n = 1;
  for (const uint64_t d : tensor.shape) n *= d;
  tensor.type = type;
  tensor.data = blocks(type, n, n_tiny);
}

// What is kept has the values that conversion to f32 decodes, to the bit.
void check_values(const Model& kept, const Model& decoded, std::string_view name) {
  const LogicalTensor a = read_tensor(tensor_of(kept, name), kept.config()),
                      b = read_tensor(tensor_of(decoded, name), decoded.config());
  CHECK(std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
  CHECK(a.bias == b.bias);
}

const std::vector<std::string> kInputs = {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"};
constexpr std::string_view kAttn = "h.0.attn.c_attn.weight";

}  // namespace

TEST_CASE("gguf keep: models of int8, int8g32 and int4 go out and come back byte for byte") {
  for (const DType dtype : {DType::int8, DType::int8g32, DType::int4}) {
    const Model model = convert_model(source_path("models/books"), dtype);
    MemorySink sink;
    write_gguf(model, sink, nullptr);
    const AlignedBuffer<std::byte> bytes = sink.take();
    const void* data = bytes.data();
    const std::string path = temp_dir() + "/out.gguf";
    write_file(path, {static_cast<const char*>(data), bytes.size()});
    const Model again = keep(path).model;
    REQUIRE(again.file().tensors.size() == model.file().tensors.size());
    for (size_t i = 0; i < model.file().tensors.size(); ++i) {
      INFO(model.file().tensors[i].spec.name);
      CHECK(again.file().tensors[i].dtype == model.file().tensors[i].dtype);
      CHECK(again.file().tensors[i].xxh3 == model.file().tensors[i].xxh3);
    }
  }
}

TEST_CASE("gguf keep: Q4_0 becomes int4 with its values, through rows that move and the folded scale") {
  const std::string path = temp_dir() + "/f.gguf";
  for (const size_t n_tiny : {0u, 1u}) {
    GgufCopy copy("llama");
    for (const std::string& name : kInputs) set_blocks(copy, name, GgufType::q4_0, n_tiny);
    write_file(path, copy.file());
    const Kept kept = keep(path);
    const StoredTensor& tensor = tensor_of(kept.model, kAttn);
    CHECK(tensor.dtype == DType::int4);
    // A quarter of the smallest scale is none: the scores are multiplied instead.
    CHECK(tensor.spec.arrangement == (n_tiny == 0 ? Arrangement::qkv_scaled : Arrangement::qkv));
    check_values(kept.model, convert_model(path, DType::f32), kAttn);
    CHECK(kept.types.find("1 Q4_0 as int4") != std::string::npos);
    CHECK(kept.types.find("F16 as f32") != std::string::npos);
    CHECK(tensor_of(kept.model, "h.1.attn.c_attn.weight").dtype == DType::f32);
  }
}

TEST_CASE("gguf keep: Q8_0, Q5_0 and IQ4_NL become int8g32 with their values, and a matrix of several too") {
  constexpr GgufType kQ8 = GgufType::q8_0, kQ5 = GgufType::q5_0, kQ4 = GgufType::q4_0, kIq4 = GgufType::iq4_nl;
  struct Case {
    std::vector<GgufType> types;  // of q, k and v
    const char* report;
  };
  const Case kCases[] = {{{kQ8, kQ8, kQ8}, "1 Q8_0 as int8g32"}, {{kQ5, kQ5, kQ5}, "1 Q5_0 as int8g32"},
                         {{kIq4, kIq4, kIq4}, "1 IQ4_NL as int8g32"}, {{kQ8, kQ4, kQ5}, "1 mixed as int8g32"}};
  const std::string path = temp_dir() + "/f.gguf";
  for (const Case& one : kCases) {
    for (const size_t n_tiny : {0u, 1u}) {
      INFO(one.report << ", " << n_tiny);
      GgufCopy copy("llama");
      for (size_t i = 0; i < kInputs.size(); ++i) set_blocks(copy, kInputs[i], one.types[i], n_tiny);
      write_file(path, copy.file());
      const Kept kept = keep(path);
      const StoredTensor& tensor = tensor_of(kept.model, kAttn);
      CHECK(tensor.dtype == DType::int8g32);
      CHECK(tensor.spec.arrangement == (n_tiny == 0 ? Arrangement::qkv_scaled : Arrangement::qkv));
      check_values(kept.model, convert_model(path, DType::f32), kAttn);
      CHECK(kept.types.find(one.report) != std::string::npos);
      CHECK(kept.types.find("decoded") == std::string::npos);
    }
  }
}

TEST_CASE("gguf keep: a file that was read and written again has the same bytes of Q8_0, any codes and scales") {
  const std::string path = temp_dir() + "/f.gguf", again_path = temp_dir() + "/again.gguf";
  GgufCopy copy("llama");
  const std::vector<std::string> names = {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight",
                                          "blk.0.attn_output.weight"};
  for (const std::string& name : names) set_blocks(copy, name, GgufType::q8_0);
  std::string& data = copy.tensor(names[3]).data;
  constexpr uint16_t kScales[] = {0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0x7C00, 0xFC00, 0x7E01};
  for (size_t i = 0; i < std::size(kScales); ++i) std::memcpy(&data[i * 34], &kScales[i], sizeof(uint16_t));
  std::fill_n(&data[8 * 34 + 2], 32, '\x80');  // codes of -128
  write_file(path, copy.file());
  const Model model = keep(path).model;
  for (const StoredTensor& tensor : model.file().tensors) {
    const bool is_kept = tensor.spec.name == kAttn || tensor.spec.name == "h.0.attn.c_proj.weight";
    if (is_kept) CHECK(tensor.dtype == DType::int8g32);
  }
  MemorySink sink;
  write_gguf(model, sink, nullptr);
  const AlignedBuffer<std::byte> bytes = sink.take();
  const GgufFile again = GgufFile::parse({bytes.data(), bytes.size()}, again_path);
  for (const std::string& name : names) {
    INFO(name);
    const GgufTensor* tensor = again.find_tensor(name);
    REQUIRE(tensor != nullptr);
    CHECK(tensor->type == GgufType::q8_0);
    const std::string& before = copy.tensor(name).data;
    REQUIRE(again.data(*tensor).size() == before.size());
    CHECK(std::memcmp(again.data(*tensor).data(), before.data(), before.size()) == 0);
  }
}

TEST_CASE("gguf keep: pairs of Q8_0 blocks are int8 only where int8 has their codes") {
  const std::string path = temp_dir() + "/f.gguf";
  for (const bool extreme : {false, true}) {
    GgufCopy copy("llama");
    set_blocks(copy, "blk.0.attn_output.weight", GgufType::q8_0);
    std::string& data = copy.tensor("blk.0.attn_output.weight").data;
    for (size_t i = 0; i < data.size(); i += 68) std::memcpy(&data[i + 34], &data[i], sizeof(uint16_t));
    for (size_t i = 0; i < data.size(); ++i) {
      if (i % 34 >= 2 && data[i] == '\x80') data[i] = 0;
    }
    if (extreme) data[40] = '\x80';
    write_file(path, copy.file());
    const Kept kept = keep(path);
    CHECK(tensor_of(kept.model, "h.0.attn.c_proj.weight").dtype == (extreme ? DType::int8g32 : DType::int8));
    check_values(kept.model, convert_model(path, DType::f32), "h.0.attn.c_proj.weight");
  }
}

TEST_CASE("gguf keep: what has no equal becomes int8 from its decoded values, and the report says so") {
  const std::string path = temp_dir() + "/f.gguf";
  GgufCopy copy("llama");
  for (const std::string& name : kInputs) set_blocks(copy, name, GgufType::q5_1);
  set_blocks(copy, "blk.1.attn_q.weight", GgufType::q4_0);
  write_file(path, copy.file());
  const Kept kept = keep(path);
  CHECK(tensor_of(kept.model, kAttn).dtype == DType::int8);
  CHECK(tensor_of(kept.model, "h.1.attn.c_attn.weight").dtype == DType::int8);
  CHECK(kept.types.find("1 mixed as int8 from decoded values") != std::string::npos);
  CHECK(tensor_of(kept.model, "h.0.attn.c_proj.weight").dtype == DType::f32);
  ConvertOptions options;
  options.keep.push_back({"*.c_attn.weight", DType::bf16});
  CHECK(tensor_of(keep(path, options).model, kAttn).dtype == DType::bf16);
}

TEST_CASE("gguf keep: a source that is not quantised is converted as ever") {
  const std::string path = gguf_golden("llama");
  const Kept kept = keep(path);
  CHECK(kept.types.empty());
  const Model plain = convert_model(path, DType::f32);
  for (size_t i = 0; i < plain.file().tensors.size(); ++i) {
    CHECK(kept.model.file().tensors[i].xxh3 == plain.file().tensors[i].xxh3);
  }
}
