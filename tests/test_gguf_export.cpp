// Models written as GGUF files: read again they are the same, to the bit, and what the format cannot say is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "src/base/error.h"
#include "src/convert/architecture.h"
#include "src/convert/convert.h"
#include "src/convert/gguf_blocks.h"
#include "src/convert/gguf_export.h"
#include "src/convert/rope.h"
#include "src/io/gguf.h"
#include "src/io/mapped_file.h"
#include "tests/family.h"
#include "tests/fixtures.h"
#include "tests/gguf_models.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// Writes the model as a GGUF file and returns its path.
std::string exported(const Model& model) {
  MemorySink sink;
  write_gguf(model, sink, nullptr);
  const AlignedBuffer<std::byte> bytes = sink.take();
  const void* data = bytes.data();
  std::string path = temp_dir() + "/out.gguf";
  write_file(path, {static_cast<const char*>(data), bytes.size()});
  return path;
}

// What a model file says beside its name and its source.
void check_same_tensors(const Model& a, const Model& b) {
  REQUIRE(a.file().tensors.size() == b.file().tensors.size());
  for (size_t i = 0; i < a.file().tensors.size(); ++i) {
    const StoredTensor &x = a.file().tensors[i], &y = b.file().tensors[i];
    INFO(x.spec.name);
    CHECK(x.spec.name == y.spec.name);
    CHECK(x.dtype == y.dtype);
    CHECK(x.spec.arrangement == y.spec.arrangement);
    CHECK(x.xxh3 == y.xxh3);
  }
  CHECK(config_metadata(a.config()) == config_metadata(b.config()));
  CHECK(block_metadata(a.config()) == block_metadata(b.config()));
}

float value_of(const GgufFile& gguf, const GgufTensor& tensor, uint64_t row, uint64_t col) {
  const GgufTypeInfo& info = gguf_type_info(tensor.type);
  const uint64_t at = row * tensor.shape[0] + col;
  std::vector<float> block(info.weights);
  decode_blocks(tensor.type, gguf.data(tensor).subspan(at / info.weights * info.bytes, info.bytes), block);
  return block[at % info.weights];
}

}  // namespace

TEST_CASE("gguf export: a file that was read and written again has the same tensors, and is the same model") {
  for (const char* name : kGgufGoldens) {
    INFO(name);
    const Model model = convert_model(gguf_golden(name));
    const std::string path = exported(model);
    check_same_tensors(convert_model(path), model);
    const MappedFile a = MappedFile::open(gguf_golden(name)), b = MappedFile::open(path);
    const GgufFile before = GgufFile::parse(a.bytes(), name), after = GgufFile::parse(b.bytes(), path);
    for (const GgufTensor& tensor : before.tensors()) {
      INFO(std::string(tensor.name));
      const GgufTensor* again = after.find_tensor(tensor.name);
      // phi2's q, k and v may be one matrix, and a head that is wte is stored once.
      if (again == nullptr) continue;
      REQUIRE(again->shape == tensor.shape);
      const uint64_t rows = tensor.shape[1] * tensor.shape[2] * tensor.shape[3];
      bool same = true;
      for (uint64_t row = 0; row < rows; ++row) {
        for (uint64_t col = 0; col < tensor.shape[0]; ++col) {
          const float x = value_of(before, tensor, row, col), y = value_of(after, *again, row, col);
          same = same && std::memcmp(&x, &y, sizeof x) == 0;
        }
      }
      CHECK(same);
    }
  }
}

TEST_CASE("gguf export: bf16, int8, int8g32 and int4 keep their values to the bit") {
  for (const DType dtype : {DType::bf16, DType::int8, DType::int8g32, DType::int4}) {
    for (const char* name : {"gpt2", "llama", "gemma"}) {
      INFO(name << " " << std::string(dtype_name(dtype)));
      ConvertOptions options;
      options.dtype = dtype;
      const Model model = convert_model(gguf_golden(name), options);
      ConvertOptions plain;
      plain.dtype = DType::f32;
      const Model again = convert_model(exported(model), plain);
      REQUIRE(model.file().tensors.size() == again.file().tensors.size());
      for (size_t i = 0; i < model.file().tensors.size(); ++i) {
        const StoredTensor &x = model.file().tensors[i], &y = again.file().tensors[i];
        INFO(x.spec.name);
        if (x.spec.arrangement == Arrangement::bytes) {
          CHECK(x.xxh3 == y.xxh3);
          continue;
        }
        const LogicalTensor a = read_tensor(x, model.config()), b = read_tensor(y, again.config());
        CHECK(std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
        CHECK(a.bias == b.bias);
      }
    }
  }
}

TEST_CASE("gguf export: blocks of 32 get the types that have them, rows without whole blocks F32") {
  ConvertOptions options;
  options.dtype = DType::int4;
  const std::string path = exported(convert_model(gguf_golden("gpt2"), options));
  const MappedFile mapped = MappedFile::open(path);
  const GgufFile gguf = GgufFile::parse(mapped.bytes(), path);
  CHECK(gguf.find_tensor("blk.0.attn_qkv.weight")->type == GgufType::q4_0);  // 32 inputs
  CHECK(gguf.find_tensor("blk.0.ffn_down.weight")->type == GgufType::f32);   // 40
  CHECK(gguf.find_tensor("token_embd.weight")->type == GgufType::q8_0);
  CHECK(gguf.find_tensor("position_embd.weight")->type == GgufType::f32);
  CHECK(gguf.integer("general.file_type") == 2);
  CHECK(gguf.string("tokenizer.ggml.pre") == "gpt-2");
  CHECK(gguf.find_tensor("output.weight") == nullptr);
}

TEST_CASE("gguf export: the built-in model's source goes out and comes back") {
  const Model again = convert_model(exported(books()));
  check_same_tensors(again, books());
  CHECK(again.tokenizer().hash() == books().tokenizer().hash());
  CHECK(again.file().source == "out.gguf");
}

TEST_CASE("gguf export: a SentencePiece tokenizer goes out and comes back") {
  for (const char* name : {"llama", "gemma", "unused"}) {
    INFO(name);
    const CheckpointFixture fixture = make_checkpoint({1, 2, 32, 32, 16, 1200});
    const std::string directory = fixture.write();
    write_file(directory + "/tokenizer.model",
               read_file(source_path(("tests/data/sentencepiece/" + std::string(name) + ".model").c_str())));
    const Model model = convert_model(directory);
    REQUIRE(model.tokenizer().rules().symbols == Symbols::characters);
    if (model.tokenizer().rules().prefix_space == PrefixSpace::text) continue;
    const std::string path = exported(model);
    const Model again = convert_model(path);
    for (const char* text : {"", "Hello there", "  two  spaces ", "caf\u00e9 \u65e5\u672c <s> x", "a\nb\tc"}) {
      CHECK(again.tokenizer().encode(text) == model.tokenizer().encode(text));
      CHECK(again.tokenizer().encode(text, Specials::parse) == model.tokenizer().encode(text, Specials::parse));
    }
    CHECK(again.tokenizer().rules().before_text == model.tokenizer().rules().before_text);
    CHECK(again.tokenizer().n_tokens() == model.tokenizer().n_tokens());  // the rest of 1200 is padding
  }
}

TEST_CASE("gguf export: Gemma's embeddings keep the scale of its training, which is a root or a rounded one") {
  Config config;
  for (FamilyCase& c : family_cases()) {
    if (c.config.architecture == "gemma") config = c.config;
  }
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    INFO(dtype);
    config.embedding_scale = gemma_embedding_scale(config.n_embd, dtype);
    const Model model = make_family_model(config);
    const std::string path = exported(model);
    const MappedFile mapped = MappedFile::open(path);
    const auto key = GgufFile::parse(mapped.bytes(), path).number("gemma.embedding_scale");
    CHECK(key.has_value() == (std::string(dtype) != "float32"));
    if (key) CHECK(static_cast<float>(*key) == config.embedding_scale);
    CHECK(convert_model(path).config().embedding_scale == config.embedding_scale);
  }
}

TEST_CASE("gguf export: what GGUF cannot say is refused by its key") {
  struct Refusal {
    const char* name;
    void (*change)(Config& c);
    const char* item;
  };
  const Refusal kRefusals[] = {
      {"gpt_neo", [](Config&) {}, "block.architecture"},
      {"gptj", [](Config&) {}, "block.architecture"},
      {"opt", [](Config&) {}, "block.architecture"},
      {"llama", [](Config& c) { c.activation = Activation::relu; }, "config.activation"},
      {"llama", [](Config& c) { c.windows = {5, 6}; }, "block.windows"},
      {"llama", [](Config& c) { c.residual = Residual::parallel_two_norms; }, "block.residual"},
      {"llama", [](Config& c) { c.embedding_scale = 2; }, "block.embedding_scale"},
      {"llama", [](Config& c) { c.scale_attn_weights = false; }, "config.scale_attn_weights"},
      {"llama", [](Config& c) { c.rotary_dims = 8; }, "block.rotary_dims"},
      {"gpt_bigcode", [](Config& c) { c.scale_attn_by_inverse_layer_idx = true; },
       "config.scale_attn_by_inverse_layer_idx"},
      {"gpt_bigcode", [](Config& c) { c.activation = Activation::gelu_erf; }, "config.activation"},
      {"gpt_neox", [](Config& c) { c.residual = Residual::parallel_one_norm; }, "block.residual"},
      {"gemma", [](Config& c) { c.embedding_scale = 6; }, "block.embedding_scale"}};
  for (const Refusal& refusal : kRefusals) {
    INFO(refusal.name << " " << refusal.item);
    Config config;
    for (FamilyCase& c : family_cases()) {
      if (c.config.architecture == refusal.name) config = c.config;
    }
    refusal.change(config);
    MemorySink sink;
    const Failure failure = failure_of([&] { write_gguf(make_family_model(config), sink, nullptr); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(refusal.item) != std::string::npos, failure.message);
  }
}

TEST_CASE("rope: base and scaling are found again from the table of frequencies") {
  const Rope kRopes[] = {{10000, {}},
                         {500000, {}},
                         {1e6, {}},
                         {12345.678, {}},
                         {1000, {RopeScaling::Kind::linear, 4}},
                         {10000, {RopeScaling::Kind::linear, 2.5}},
                         {500000, {RopeScaling::Kind::llama3, 8, 1, 4, 8192}},
                         {500000, {RopeScaling::Kind::llama3, 32, 1, 4, 8192}}};
  for (const Rope& rope : kRopes) {
    for (const uint32_t dims : {2u, 16u, 64u, 128u}) {
      INFO(rope.base << " " << dims);
      std::vector<float> table(dims / 2 + 3, 0.0f);
      for (uint32_t i = 0; i < dims / 2; ++i) table[i] = static_cast<float>(rope.frequency(i, dims));
      const std::optional<Rope> found = find_rope(table, dims);
      REQUIRE(found);
      for (uint32_t i = 0; i < dims / 2; ++i) CHECK(static_cast<float>(found->frequency(i, dims)) == table[i]);
      if (dims < 64) continue;
      CHECK(found->base == rope.base);
      CHECK(found->scaling.kind == rope.scaling.kind);
      CHECK(found->scaling.factor == rope.scaling.factor);
      CHECK(found->scaling.original == rope.scaling.original);
    }
  }
  for (const float bad : {0.0f, -1.0f, NAN, INFINITY}) {
    CHECK_FALSE(find_rope(std::vector<float>{1, bad}, 4));
    CHECK_FALSE(find_rope(std::vector<float>{bad, 1}, 4));
  }
}
