// Models written as Hugging Face directories: the tensors of a checkpoint come back bit by bit, and what the files
// cannot say is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "src/base/error.h"
#include "src/convert/convert.h"
#include "src/convert/hf_export.h"
#include "src/io/json.h"
#include "src/io/json_text.h"
#include "src/io/mapped_file.h"
#include "src/io/safetensors.h"
#include "tests/family.h"
#include "tests/family_goldens.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// A directory of this model.
std::string exported(const Model& model) {
  std::string path = temp_dir() + "/out";
  OutputDirectory directory(path);
  write_hf(model, directory, nullptr);
  directory.commit();
  return path;
}

void check_same_model(const Model& a, const Model& b) {
  REQUIRE(a.file().tensors.size() == b.file().tensors.size());
  for (size_t i = 0; i < a.file().tensors.size(); ++i) {
    INFO(a.file().tensors[i].spec.name);
    CHECK(a.file().tensors[i].spec.name == b.file().tensors[i].spec.name);
    CHECK(a.file().tensors[i].xxh3 == b.file().tensors[i].xxh3);
  }
  CHECK(config_metadata(a.config()) == config_metadata(b.config()));
  CHECK(block_metadata(a.config()) == block_metadata(b.config()));
  CHECK(a.tokenizer().hash() == b.tokenizer().hash());
}

bool same_bytes(const TensorInfo& tensor, std::span<const std::byte> file, const float* values, size_t skip) {
  const size_t n = (tensor.end - tensor.begin) / sizeof(float) - skip;
  return std::memcmp(file.data() + tensor.begin + skip * sizeof(float), values + skip, n * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("hf export: checkpoints of every architecture come back tensor by tensor, and are the same model") {
  const Goldens goldens;
  for (const Golden& golden : goldens.cases) {
    const std::string& name = golden.name;
    INFO(name);
    const CheckpointFixture fixture = checkpoint_of(golden);
    const Model model = convert_fixture(fixture);
    const std::string path = exported(model);
    const MappedFile mapped = MappedFile::open(path + "/model.safetensors");
    const SafetensorsFile file = parse_safetensors(mapped.bytes(), path);
    CHECK(file.tensors.size() == fixture.tensors.size());
    for (const auto& [tensor, values] : fixture.tensors) {
      // What is new in transformers has another name for GPT-NeoX' head.
      const TensorInfo* again = file.find(tensor);
      if (again == nullptr && tensor == "lm_head.weight") again = file.find("embed_out.weight");
      INFO(tensor);
      REQUIRE(again != nullptr);
      CHECK(again->shape == fixture.shapes.at(tensor));
      CHECK(again->dtype == "F32");
      // Rounded as 1 + w: the bits below that are gone. Rows before position 0 are not kept.
      if (name == "gemma" && values.size() == 48) continue;
      const size_t skip = tensor.find("embed_positions") != std::string::npos ? 2 * again->shape[1] : 0;
      CHECK(same_bytes(*again, mapped.bytes(), values.data(), skip));
    }
    check_same_model(convert_model(path), model);
  }
}

TEST_CASE("hf export: GPT-2 as it is published, and in bf16") {
  CheckpointFixture fixture = make_checkpoint({2, 3, 48, 80, 80, 3});
  for (const char* dtype : {"F32", "BF16"}) {
    fixture.dtype = dtype;
    const Model model = convert_model(fixture.write(), dtype == std::string("BF16") ? DType::bf16 : DType::f32);
    const std::string path = exported(model);
    const MappedFile a = MappedFile::open(path + "/model.safetensors");
    const SafetensorsFile file = parse_safetensors(a.bytes(), path);
    const std::string bytes = fixture.safetensors();
    const auto before = std::as_bytes(std::span(bytes));
    for (const TensorInfo& tensor : parse_safetensors(before, "before").tensors) {
      INFO(tensor.name);
      const TensorInfo* again = file.find("transformer." + tensor.name);
      REQUIRE(again != nullptr);
      CHECK(again->dtype == dtype);
      CHECK(again->shape == tensor.shape);
      REQUIRE(again->end - again->begin == tensor.end - tensor.begin);
      CHECK(std::memcmp(a.bytes().data() + again->begin, before.data() + tensor.begin, tensor.end - tensor.begin) == 0);
    }
    check_same_model(convert_model(path, model.weights().wte.dtype), model);
  }
}

TEST_CASE("hf export: quantised matrices become the values that they stand for") {
  for (const DType dtype : {DType::int8, DType::int8g32, DType::int4}) {
    const Model model = convert_fixture(make_checkpoint({}), {.dtype = dtype, .keep = {}, .draft_text = {}});
    const Model again = convert_model(exported(model));
    for (size_t i = 0; i < model.file().tensors.size(); ++i) {
      const StoredTensor &x = model.file().tensors[i], &y = again.file().tensors[i];
      INFO(x.spec.name);
      if (x.spec.arrangement == Arrangement::bytes) continue;
      const LogicalTensor a = read_tensor(x, model.config()), b = read_tensor(y, again.config());
      CHECK(std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0);
      CHECK(a.bias == b.bias);
    }
  }
}

TEST_CASE("hf export: the tokenizers of the goldens come back") {
  const CheckpointFixture fixture = make_checkpoint({1, 2, 32, 32, 16, 1200});
  for (const char* name : {"llama", "gemma", "plain", "unused"}) {
    INFO(name);
    for (const char* config : {"{}", "{\"legacy\": false}", "{\"add_prefix_space\": false, \"add_bos_token\": true}"}) {
      INFO(config);
      const std::string directory = fixture.write();
      write_file(directory + "/tokenizer.model",
                 read_file(source_path(("tests/data/sentencepiece/" + std::string(name) + ".model").c_str())));
      write_file(directory + "/tokenizer_config.json", config);
      const Model model = convert_model(directory);
      check_same_model(convert_model(exported(model)), model);
    }
  }
  const std::string bpe = read_file(source_path("tests/data/sentencepiece/bpe.json"));
  std::ifstream kinds(source_path("tests/data/sentencepiece/cases.jsonl"));
  size_t n_kinds = 0;
  for (std::string line; std::getline(kinds, line) && line.find("\"kind\"") != std::string::npos; ++n_kinds) {
    INFO(line);
    const std::string directory = fixture.write();
    write_file(directory + "/tokenizer.json", "{\"model\": " + bpe + ", " + line.substr(1));
    const Model model = convert_model(directory);
    check_same_model(convert_model(exported(model)), model);
  }
  CHECK(n_kinds == 5);
  check_same_model(convert_model(exported(books())), convert_model(source_path("models/books")));
}

TEST_CASE("hf export: any of Qwen2's layers may have the window") {
  const Goldens goldens;
  const Golden& golden = goldens.of("qwen2");
  struct Kinds {
    const char *first, *second;
    std::vector<uint32_t> windows;
    bool named;  // by layer_types
  };
  for (const Kinds& kinds : {Kinds{"sliding_attention", "full_attention", {7, 0}, true},
                             Kinds{"full_attention", "sliding_attention", {0, 7}, false},
                             Kinds{"sliding_attention", "sliding_attention", {7, 7}, false}}) {
    const std::string types = std::string("[\"") + kinds.first + "\", \"" + kinds.second + "\"]";
    const Model model = convert_fixture(checkpoint_of(
        golden, replaced(golden.config, "\"use_sliding_window\": false",
                         "\"use_sliding_window\": true, \"layer_types\": " + types)));
    REQUIRE(model.config().windows == kinds.windows);
    const std::string directory = exported(model);
    CHECK(convert_model(directory).config().windows == kinds.windows);
    CHECK((read_file(directory + "/config.json").find("layer_types") != std::string::npos) == kinds.named);
  }
}

TEST_CASE("hf export: what the files of the architecture cannot say is refused by its key") {
  struct Refusal {
    const char* name;
    void (*change)(Config& c);
    const char* item;
  };
  const Refusal kRefusals[] = {
      {"gpt_bigcode", [](Config& c) { c.scale_attn_by_inverse_layer_idx = true; },
       "config.scale_attn_by_inverse_layer_idx"},
      {"gpt_bigcode", [](Config& c) { c.architecture = "gpt5"; }, "block.architecture"},
      {"llama", [](Config& c) { c.windows = {5, 6}; }, "block.windows"},
      {"opt", [](Config& c) { c.embedding_scale = 2; }, "block.embedding_scale"},
      {"opt", [](Config& c) { c.residual = Residual::parallel_one_norm; }, "block.residual"},
      {"opt", [](Config& c) { c.layer_norm_epsilon = 1e-3f; }, "config.layer_norm_epsilon"},
      {"mistral", [](Config& c) { c.windows = {5, 65}; }, "block.windows"}};
  for (const Refusal& refusal : kRefusals) {
    INFO(refusal.name << " " << refusal.item);
    Config config;
    for (FamilyCase& c : family_cases()) {
      if (c.config.architecture == refusal.name) config = c.config;
    }
    refusal.change(config);
    const Failure failure = failure_of([&] { exported(make_family_model(config)); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find(refusal.item) != std::string::npos, failure.message);
  }
}

TEST_CASE("output directory: whole or not at all, and never in place of anything") {
  const std::string folder = temp_dir(), path = folder + "/d";
  const auto n_entries = [&] {
    return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
  };
  {
    OutputDirectory directory(path + "/");
    directory.write("a", "x");
    CHECK_FALSE(std::filesystem::exists(path));
  }
  CHECK(n_entries() == 0);
  OutputDirectory directory(path);
  directory.write("a", "x");
  OutputDirectory second(path);
  directory.commit();
  CHECK(read_file(path + "/a") == "x");
  CHECK(failure_of([&] { second.commit(); }).code == 2);
  CHECK(failure_of([&] { OutputDirectory third(path); }).code == 2);
  write_file(folder + "/f", "y");
  CHECK(failure_of([&] { OutputDirectory third(folder + "/f"); }).code == 2);
  CHECK(failure_of([&] { OutputDirectory third(folder + "/none/d"); }).code == 1);
  CHECK(read_file(folder + "/f") == "y");
}

TEST_CASE("json text: a tree is written as it was read") {
  const std::string text =
      R"({"a": [1, -2.5, 8.0, 1e+30, 18446744073709551615, null, true, {}], "\"b\n": "\u007f"})";
  CHECK(json_text(parse_json(text, "t")) == text);
}
