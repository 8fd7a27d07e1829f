// What other programs load is loaded: checkpoints whose metadata, names or layout are unlike the published ones give the model of
// the plain one; and what is no checkpoint is called by its name.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "src/convert/config_json.h"
#include "src/convert/convert.h"
#include "src/convert/warnings.h"
#include "src/io/checkpoint.h"
#include "src/io/foreign_format.h"
#include "src/model/kv_cache.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

struct Converted {
  Model model;
  std::vector<std::string> warnings;
};

Converted convert(const std::string& directory, DType dtype = DType::f32) {
  MemorySink sink;
  ConvertOptions options;
  options.dtype = dtype;
  ConvertReport report = convert_checkpoint(directory, options, sink, nullptr);
  return {Model::from_memory(sink.take(), "m.gpt2"), std::move(report.warnings)};
}

Converted convert(const CheckpointFixture& fixture, DType dtype = DType::f32) { return convert(fixture.write(), dtype); }

// Whether both have the same configuration but for the ids, and the same weights to the bit.
bool same_weights(const Model& a, const Model& b) {
  const auto &x = a.file().tensors, &y = b.file().tensors;
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].spec.name != y[i].spec.name || x[i].xxh3 != y[i].xxh3) return false;
  }
  return a.config().tied_lm_head == b.config().tied_lm_head && a.config().activation == b.config().activation;
}

bool has_warning(const Converted& converted, std::string_view text) {
  for (const std::string& warning : converted.warnings) {
    if (warning.find(text) != std::string::npos) return true;
  }
  return false;
}

void set_tensor(CheckpointFixture& fixture, const std::string& name, const std::vector<float>& values, std::vector<uint64_t> shape) {
  fixture.tensors[name] = values;
  fixture.shapes[name] = std::move(shape);
}

std::vector<float> transposed(const std::vector<float>& values, uint64_t rows, uint64_t cols) {
  std::vector<float> out(values.size());
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t k = 0; k < cols; ++k) out[k * rows + i] = values[i * cols + k];
  }
  return out;
}

}  // namespace

TEST_CASE("checkpoints: metadata that the arithmetic does not need warns, or says nothing") {
  const Converted plain = convert(make_checkpoint({}));
  CHECK(plain.warnings.empty());
  struct Case {
    const char* member;
    const char* warning;  // "": none
  };
  const Case cases[] = {
      {"\"bos_token_id\":-1,\"eos_token_id\":-1,\"pad_token_id\":-1", ""},
      {"\"eos_token_id\":3", "eos_token_id"},
      {"\"bos_token_id\":4294967296", "bos_token_id"},
      {"\"architectures\":[\"GPT2HeadWithValueModel\"]", "GPT2HeadWithValueModel"},
      {"\"architectures\":[\"Something\"]", "Something"},
  };
  for (const Case& c : cases) {
    CheckpointFixture fixture = make_checkpoint({});
    fixture.config_json.insert(1, std::string(c.member) + ",");
    const Converted made = convert(fixture);
    CAPTURE(c.member);
    CHECK(same_weights(made.model, plain.model));
    CHECK(made.model.config().eos_token_ids.empty());
    CHECK(made.model.config().bos_token_id == -1);
    CHECK(made.warnings.size() == (c.warning[0] == '\0' ? 0 : 1));
    CHECK(has_warning(made, c.warning) == (c.warning[0] != '\0'));
  }
  CheckpointFixture fixture = make_checkpoint({});
  fixture.config_json.insert(1, "\"eos_token_id\":[2,3,-1,1],");
  CHECK(convert(fixture).model.config().eos_token_ids == std::vector<int32_t>{2, 1});
}

TEST_CASE("checkpoints: generation_config.json's ids win where they name a token") {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.config_json.insert(1, "\"eos_token_id\":0,\"bos_token_id\":0,");
  const auto with = [&](const std::string& text) {
    const std::string directory = fixture.write();
    write_file(directory + "/generation_config.json", text);
    return convert(directory).model.config();
  };
  CHECK(with(R"({"eos_token_id":[1,2]})").eos_token_ids == std::vector<int32_t>{1, 2});
  CHECK(with("\xEF\xBB\xBF{\"eos_token_id\":2,\"bos_token_id\":1}").eos_token_ids == std::vector<int32_t>{2});
  CHECK(with(R"({"eos_token_id":2,"bos_token_id":1})").bos_token_id == 1);
  CHECK(with(R"({"eos_token_id":null})").eos_token_ids == std::vector<int32_t>{0});
  CHECK(with(R"({"eos_token_id":[7],"bos_token_id":-1})").eos_token_ids == std::vector<int32_t>{0});
  CHECK(with(R"({"eos_token_id":7,"bos_token_id":-1})").bos_token_id == 0);
  CHECK(failure_of([&] { with(R"({"eos_token_id":"x"})"); }).message.find("generation_config.json: eos_token_id") != std::string::npos);
}

TEST_CASE("checkpoints: a byte order mark before any JSON is skipped") {
  const CheckpointFixture plain = make_checkpoint({});
  CheckpointFixture fixture = plain;
  for (std::string* text : {&fixture.config_json, &fixture.vocab_json, &fixture.merges_txt}) text->insert(0, "\xEF\xBB\xBF");
  CHECK(same_weights(convert(fixture).model, convert(plain).model));
}

TEST_CASE("checkpoints: every writing of GELU's tanh form is the same activation") {
  const Converted plain = convert(make_checkpoint({}));
  for (const char* name : {"gelu_fast", "gelu_accurate", "gelu_python_tanh", "gelu_pytorch_tanh"}) {
    CheckpointFixture fixture = make_checkpoint({});
    fixture.config_json.replace(fixture.config_json.find("gelu_new"), 8, name);
    CHECK(same_weights(convert(fixture).model, plain.model));
  }
}

TEST_CASE("checkpoints: F64 is rounded to f32") {
  const Converted plain = convert(make_checkpoint({}));
  CheckpointFixture fixture = make_checkpoint({});
  fixture.dtype = "F64";
  CHECK(same_weights(convert(fixture).model, plain.model));
}

TEST_CASE("checkpoints: wrappers' prefixes come off, in any number") {
  const Converted plain = convert(make_checkpoint({}));
  for (const char* prefix : {"module.", "_orig_mod.", "base_model.", "base_model.model.", "module._orig_mod.transformer.",
                             "_orig_mod.module.base_model.model.transformer.", "base_model.transformer."}) {
    CheckpointFixture fixture = make_checkpoint({});
    fixture.prefix = prefix;
    CHECK_MESSAGE(same_weights(convert(fixture).model, plain.model), prefix);
  }
  CheckpointFixture adapter = make_checkpoint({});
  set_tensor(adapter, "h.0.attn.c_attn.lora_A.weight", {1}, {1, 1});
  CHECK(failure_of([&] { convert(adapter); }).message.find("adapter") != std::string::npos);
}

TEST_CASE("checkpoints: a head alone stands for wte; a head that differs is none of it, whatever the tie key says") {
  const CheckpointFixture plain = make_checkpoint({});
  const Converted tied = convert(plain);
  CheckpointFixture only = plain;
  set_tensor(only, "lm_head.weight", plain.tensors.at("wte.weight"), {3, 48});
  only.tensors.erase("wte.weight");
  CHECK(same_weights(convert(only).model, tied.model));
  CheckpointFixture differs = plain;
  std::vector<float> head = plain.tensors.at("wte.weight");
  head.back() += 1;
  set_tensor(differs, "lm_head.weight", head, {3, 48});
  CheckpointFixture untied = differs;
  untied.config_json.insert(1, "\"tie_word_embeddings\":false,");
  const Converted right = convert(untied);
  CHECK(right.warnings.empty());
  for (const char* key : {"", "\"tie_word_embeddings\":true,"}) {
    CheckpointFixture fixture = differs;
    fixture.config_json.insert(1, key);
    const Converted made = convert(fixture);
    CHECK(same_weights(made.model, right.model));
    CHECK(has_warning(made, "lm_head.weight differs from wte.weight"));
  }
}

TEST_CASE("checkpoints: one shard without an index, and an index that names what the shards do not have") {
  const CheckpointFixture plain = make_checkpoint({});
  const Converted whole = convert(plain);
  std::string directory = plain.write();
  const std::string shard = "/model-00001-of-00001.safetensors";
  std::filesystem::rename(directory + "/model.safetensors", directory + shard);
  CHECK(same_weights(convert(directory).model, whole.model));
  write_file(directory + "/other.safetensors", "");
  CHECK(failure_of([&] { convert(directory); }).message.find("2 shards without an index") != std::string::npos);
  // The index has wte and the head, the shard only one of them.
  CheckpointFixture only = plain;
  set_tensor(only, "lm_head.weight", plain.tensors.at("wte.weight"), {3, 48});
  only.tensors.erase("wte.weight");
  directory = only.write();
  std::filesystem::rename(directory + "/model.safetensors", directory + shard);
  std::string map = "\"wte.weight\":\"" + shard.substr(1) + "\"";
  for (const auto& [name, values] : only.tensors) map += ",\"" + name + "\":\"" + shard.substr(1) + "\"";
  write_file(directory + "/model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  CHECK(same_weights(convert(directory).model, whole.model));
}

TEST_CASE("checkpoints: matrices of nn.Linear are taken as such, a mixture is refused") {
  const CheckpointFixture plain = make_checkpoint({});
  const Converted right = convert(plain);
  CheckpointFixture linear = plain;
  for (auto& [name, shape] : linear.shapes) {
    if (name.find(".c_") == std::string::npos || shape.size() != 2) continue;
    linear.tensors[name] = transposed(linear.tensors[name], shape[0], shape[1]);
    std::swap(shape[0], shape[1]);
  }
  const Converted made = convert(linear);
  CHECK(same_weights(made.model, right.model));
  CHECK(has_warning(made, "nn.Linear"));
  CheckpointFixture mixed = linear;
  mixed.shapes["h.1.mlp.c_fc.weight"] = {48, 80};
  CHECK(failure_of([&] { convert(mixed); }).message.find("h.1.mlp.c_fc.weight") != std::string::npos);
}

TEST_CASE("checkpoints: unused tensors of any type warn, the first few by name and the rest by number") {
  const Converted plain = convert(make_checkpoint({}));
  CheckpointFixture fixture = make_checkpoint({});
  for (int i = 0; i < 100; ++i) set_tensor(fixture, "extra." + std::to_string(i), {1}, {1});
  const Converted made = convert(fixture);
  CHECK(same_weights(made.model, plain.model));
  REQUIRE(made.warnings.size() == kFewWarnings);
  CHECK(made.warnings.front().find("extra.0") != std::string::npos);
  CHECK(made.warnings.back() == "and 97 more tensors left out");
  CheckpointFixture placeholder = make_checkpoint({});
  set_tensor(placeholder, "h.0.mlp.c_fc.weight", {}, {0});
  CHECK(failure_of([&] { convert(placeholder); }).message.find("ZeRO-3") != std::string::npos);
}

TEST_CASE("checkpoints: weights that are not finite are named with their number") {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.tensors["h.0.attn.c_attn.weight"][5] = std::numeric_limits<float>::quiet_NaN();
  fixture.tensors["h.0.attn.c_attn.bias"][6] = std::numeric_limits<float>::infinity();
  fixture.tensors["wpe.weight"][7] = -std::numeric_limits<float>::infinity();
  for (const DType dtype : {DType::f32, DType::int8}) {
    const Converted made = convert(fixture, dtype);
    CHECK(made.warnings.size() == 2);
    CHECK(has_warning(made, "h.0.attn.c_attn.weight: 2 weights are not finite"));
    CHECK(has_warning(made, "wpe.weight: 1 weights are not finite"));
  }
}

TEST_CASE("checkpoints: group scales outside f16 are brought back through the norm, or refused by the tensor's name") {
  const CheckpointFixture plain = make_checkpoint({});
  for (const DType dtype : {DType::int8, DType::int8g32, DType::int4}) {
    const Model right = convert(plain, dtype).model;
    for (const int exponent : {-30, -20, 26}) {
      CheckpointFixture scaled = plain;
      for (float& w : scaled.tensors["h.0.attn.c_attn.weight"]) w = std::ldexp(w, exponent);
      for (const char* name : {"h.0.ln_1.weight", "h.0.ln_1.bias"}) {
        for (float& w : scaled.tensors[name]) w = std::ldexp(w, -exponent);
      }
      // What the matrix computes of the norm's output: rows times the norm's weight, as stored.
      const Model made = convert(scaled, dtype).model;
      const auto products = [](const Model& model) {
        LogicalTensor matrix = read_tensor(model.file().tensors[3], model.config());
        const LogicalTensor norm = read_tensor(model.file().tensors[1], model.config());
        for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] *= norm.values[i % 48];
        return matrix.values;
      };
      const std::vector<float> a = products(right), b = products(made);
      double worst = 0;
      for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
      CAPTURE(exponent);
      CHECK(worst < (is_int8(dtype) ? 1e-3 : 1e-2));
    }
    for (const char* name : {"h.0.attn.c_proj.weight", "wte.weight"}) {
      CheckpointFixture far = plain;
      for (float& w : far.tensors[name]) w = std::ldexp(w, 26);
      CHECK_MESSAGE(failure_of([&] { convert(far, dtype); }).message.find(name) != std::string::npos, name);
      for (float& w : far.tensors[name]) w = std::ldexp(w, -50);
      CHECK_MESSAGE(failure_of([&] { convert(far, dtype); }).message.find(name) != std::string::npos, name);
      CHECK(convert(far).model.config().n_layer == 2);
    }
  }
}

TEST_CASE("checkpoints: what is no checkpoint is called by its name") {
  const auto message = [](const std::string& path) { return failure_of([&] { convert(path); }).message; };
  const auto has = [](const std::string& text, std::string_view word) {
    CHECK_MESSAGE(text.find(word) != std::string::npos, text << " has no " << word);
  };
  const std::string plain = make_checkpoint({}).write(), directory = temp_dir();
  has(message(plain + "/model.safetensors"), "the directory " + plain);
  write_file(directory + "/m.gguf", std::string("GGUF\3\0\0\0", 8));
  has(message(directory + "/m.gguf"), "m.gguf: tensor count");
  write_file(directory + "/adapter_config.json", R"({"peft_type":"LORA","base_model_name_or_path":"gpt2"})");
  has(message(directory), "adapter (LoRA or another of PEFT's) of gpt2");
  const auto with = [&](const char* name, const std::string& bytes) {
    const std::string made = make_checkpoint({}).write();
    if (std::string_view(name) == "vocab.txt") std::filesystem::remove(made + "/vocab.json");
    if (std::string_view(name) != "vocab.txt") std::filesystem::remove(made + "/model.safetensors");
    write_file(made + "/" + name, bytes);
    return message(made);
  };
  has(with("vocab.txt", "[PAD]\n"), "vocab.txt, a vocabulary of BERT's WordPiece");
  has(with("pytorch_model-00001-of-00002.bin", ""), "pickle");
  has(with("tf_model.h5", ""), "tf_model.h5");
  has(with("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS pointer");
  has(with("model.safetensors", "<!DOCTYPE html><html>"), "a web page");
  has(with("model.safetensors", "GGUF"), "a GGUF file");
  has(with("model.safetensors", "PK\x03\x04 and more than eight bytes"), "zip archive");
  CHECK(foreign_format("{}").empty());
  CHECK(foreign_format("").empty());
}

TEST_CASE("kv cache: an f16 block with a number that f16 does not have is told, an f32 one is not") {
  const Model model = convert(make_checkpoint({})).model;
  for (const KvType type : {KvType::f16, KvType::f32}) {
    KvPool pool(KvLayout(model.config(), type), 3);
    CHECK_FALSE(pool.overflowed());
    const BlockId first = pool.allocate(), second = pool.allocate();
    CHECK_FALSE(pool.overflowed());
    const uint16_t infinity = 0xFC00;
    std::memcpy(pool.data(second) + 10, &infinity, sizeof infinity);
    CHECK(pool.overflowed() == (type == KvType::f16));
    pool.release(first);
    pool.release(second);
  }
}
