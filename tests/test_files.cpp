// Files that are right: what is converted reads back bit for bit, in every dtype, spelling and sharding; and outputs that appear
// whole or not at all.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "kernels/float_types.h"
#include "src/io/file_descriptor.h"
#include "src/io/json.h"
#include "src/io/mapped_file.h"
#include "src/io/output_file.h"
#include "src/io/safetensors.h"
#include "src/convert/config_json.h"
#include "src/convert/convert.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

float rounded(float value, const std::string& dtype) {
  if (dtype == "F16") return f16_to_float(float_to_f16(value));
  return dtype == "BF16" ? bf16_to_float(float_to_bf16(value)) : value;
}

// Every tensor of the model against the fixture it was made from.
void check_reads_back(const CheckpointFixture& fixture, const Model& model) {
  for (const StoredTensor& stored : model.file().tensors) {
    const TensorSpec& spec = stored.spec;
    if (spec.arrangement == Arrangement::bytes) continue;
    const LogicalTensor got = read_tensor(stored, model.config());
    const std::vector<float>& source = fixture.tensors.at(spec.name);
    REQUIRE(got.values.size() == source.size());
    for (uint64_t r = 0; r < spec.rows; ++r) {
      for (uint64_t k = 0; k < spec.cols; ++k) {
        const float expected = rounded(source[spec.bias.empty() ? r * spec.cols + k : k * spec.rows + r], fixture.dtype);
        REQUIRE(float_bits(got.values[r * spec.cols + k]) == float_bits(expected));
      }
      if (!spec.bias.empty()) {
        REQUIRE(float_bits(got.bias[r]) == float_bits(rounded(fixture.tensors.at(spec.bias)[r], fixture.dtype)));
      }
    }
  }
}

bool same_file(const Model& a, const Model& b) {
  return a.bytes().size() == b.bytes().size() && std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

}  // namespace

TEST_CASE("convert: F32, F16 and BF16 tensors read back bit for bit, with and without the prefix") {
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    for (const char* prefix : {"", "transformer."}) {
      CheckpointFixture fixture = make_checkpoint({});
      fixture.dtype = dtype;
      fixture.prefix = prefix;
      check_reads_back(fixture, convert_fixture(fixture));
    }
  }
}

TEST_CASE("convert: shapes that are unlike GPT-2 read back bit for bit") {
  for (const FixtureShape& shape : {FixtureShape{1, 1, 1, 1, 1, 3}, FixtureShape{3, 2, 34, 7, 5, 19},
                                    FixtureShape{1, 4, 96, 17, 70, 65}, FixtureShape{1, 1, 64, 256, 9, 16}}) {
    CheckpointFixture fixture = make_checkpoint(shape);
    check_reads_back(fixture, convert_fixture(fixture));
  }
}

TEST_CASE("convert: the attention scale is folded into q only where that is exact") {
  const auto arrangement = [](const Model& model) { return model.file().tensors[3].spec.arrangement; };
  CheckpointFixture fixture = make_checkpoint({});
  CHECK(arrangement(convert_fixture(fixture)) == Arrangement::qkv_scaled);
  CHECK(convert_fixture(fixture).weights().h[0].attention_scale == 1.0f);
  fixture.tensors["h.0.attn.c_attn.weight"][0] = 1.5e-38f;  // a quarter of it is subnormal and loses a bit
  check_reads_back(fixture, convert_fixture(fixture));
  CHECK(arrangement(convert_fixture(fixture)) == Arrangement::qkv);
  const Model model = convert_fixture(make_checkpoint({1, 2, 48, 8, 8, 3}));  // heads of 24
  CHECK(arrangement(model) == Arrangement::qkv);
  CHECK(model.weights().h[0].attention_scale == static_cast<float>(1 / std::sqrt(24.0)));
}

TEST_CASE("convert: the same checkpoint gives the same bytes, and other settings are kept") {
  const CheckpointFixture fixture = make_checkpoint({});
  const std::string directory = fixture.write();
  const auto convert = [&] {
    MemorySink sink;
    convert_checkpoint(directory, {}, sink, nullptr);
    return Model::from_memory(sink.take(), "m");
  };
  CHECK(same_file(convert(), convert()));
  CheckpointFixture other = fixture;
  other.config_json = R"({"n_layer":2,"n_head":3,"n_embd":48,"n_inner":80,"n_ctx":80,"vocab_size":3,"layer_norm_epsilon":1e-6,)"
                      R"("activation_function":"relu","scale_attn_weights":false,"eos_token_id":[1,2],"bos_token_id":0,)"
                      R"("attn_pdrop":0.1,"summary_type":"x","n_positions":80,"surprise":{"a":[1]}})";
  const std::string other_directory = other.write();
  MemorySink sink;
  const ConvertReport report = convert_checkpoint(other_directory, {}, sink, nullptr);
  REQUIRE(report.warnings.size() == 1);
  CHECK(report.warnings[0].find("\"surprise\"") != std::string::npos);
  const Model model = Model::from_memory(sink.take(), "m");
  CHECK(model.config().layer_norm_epsilon == 1e-6f);
  CHECK(model.config().activation == Activation::relu);
  CHECK_FALSE(model.config().scale_attn_weights);
  CHECK(model.config().eos_token_ids == std::vector<int32_t>{1, 2});
  CHECK(model.config().bos_token_id == 0);
  CHECK(model.is_eos(2));
  CHECK_FALSE(model.is_eos(0));
}

TEST_CASE("config: what published checkpoints say is read without a warning, every activation and every form of eos_token_id") {
  const std::string published =
      R"({"activation_function":"gelu_new","architectures":["GPT2LMHeadModel"],"attn_pdrop":0.1,"bos_token_id":50256,"embd_pdrop":0.1,)"
      R"("eos_token_id":50256,"initializer_range":0.02,"layer_norm_epsilon":1e-05,"model_type":"gpt2","n_ctx":1024,"n_embd":768,)"
      R"("n_head":12,"n_layer":12,"n_positions":1024,"resid_pdrop":0.1,"summary_activation":null,"summary_first_dropout":0.1,)"
      R"("summary_proj_to_labels":true,"summary_type":"cls_index","summary_use_proj":true,"transformers_version":"4.30.0",)"
      R"("task_specific_params":{"text-generation":{"do_sample":true,"max_length":50}},"use_cache":true,"vocab_size":50257})";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = published;
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return parse_config(text.replace(at, from.size(), to), "config.json").config;
  };
  const ConfigFile file = parse_config(published, "config.json");
  CHECK(file.warnings.empty());
  CHECK(file.config.n_inner == 4 * 768);
  CHECK(file.config.d_head == 64);
  CHECK(file.config.scale_attn_weights);
  CHECK_FALSE(file.config.scale_attn_by_inverse_layer_idx);
  CHECK(file.config.activation == Activation::gelu_tanh);
  CHECK(with("gelu_new", "gelu_pytorch_tanh").activation == Activation::gelu_tanh);
  CHECK(with("gelu_new", "gelu").activation == Activation::gelu_erf);
  CHECK(with("gelu_new", "relu").activation == Activation::relu);
  const std::string eos = "\"eos_token_id\":50256";
  CHECK(file.config.eos_token_ids == std::vector<int32_t>{50256});
  CHECK(with(eos, "\"eos_token_id\":null").eos_token_ids.empty());
  CHECK(with(eos, "\"eos_token_id\":[7,50256]").eos_token_ids == std::vector<int32_t>{7, 50256});
}

TEST_CASE("convert: mask buffers are left out, a copy of wte as head too, other tensors with a warning") {
  CheckpointFixture fixture = make_checkpoint({});
  const auto add = [&](const char* name, const std::vector<float>& values, std::vector<uint64_t> shape) {
    fixture.tensors[name] = values;
    fixture.shapes[name] = std::move(shape);
  };
  add("h.0.attn.bias", {1, 0, 1, 1}, {1, 1, 2, 2});
  add("h.1.attn.masked_bias", {-10000}, {});
  add("lm_head.weight", fixture.tensors["wte.weight"], {3, 48});
  add("multiple_choice_head.weight", {1}, {1});
  MemorySink sink;
  const ConvertReport report = convert_checkpoint(fixture.write(), {}, sink, nullptr);
  REQUIRE(report.warnings.size() == 1);
  CHECK(report.warnings[0].find("multiple_choice_head.weight") != std::string::npos);
  CHECK(Model::from_memory(sink.take(), "m").config().tied_lm_head);
}

TEST_CASE("convert: shards named by an index give what one file gives") {
  CheckpointFixture fixture = make_checkpoint({});
  const Model whole = convert_fixture(fixture);
  const std::string directory = fixture.write();
  std::filesystem::remove(directory + "/model.safetensors");
  CheckpointFixture parts[2] = {fixture, fixture};
  std::string map;
  size_t i = 0;
  for (const auto& [name, values] : fixture.tensors) {
    const size_t part = i++ % 2;
    parts[1 - part].tensors.erase(name);
    map += (map.empty() ? "" : ",") + json_quote(name) + ":\"model-" + std::to_string(part) + ".safetensors\"";
  }
  for (size_t p = 0; p < 2; ++p) write_file(directory + "/model-" + std::to_string(p) + ".safetensors", parts[p].safetensors());
  write_file(directory + "/model.safetensors.index.json", "{\"metadata\":{\"total_size\":1},\"weight_map\":{" + map + "}}");
  MemorySink sink;
  convert_checkpoint(directory, {}, sink, nullptr);
  const Model sharded = Model::from_memory(sink.take(), "m");
  for (size_t t = 0; t < whole.file().tensors.size(); ++t) CHECK(whole.file().tensors[t].xxh3 == sharded.file().tensors[t].xxh3);
}

TEST_CASE("model file: it is a safetensors file whose data begins on a page, and its checksums hold") {
  const SafetensorsFile file = parse_safetensors(books().bytes(), "books");
  CHECK(file.data_begin % 4096 == 0);
  for (const TensorInfo& tensor : file.tensors) {
    CHECK(tensor.dtype == "U8");
    CHECK(tensor.begin % 64 == 0);
  }
  verify_checksums(books().file(), "books");
}

TEST_CASE("output file: nothing under the name before commit, all of it after, and no litter") {
  const std::string directory = temp_dir(), path = directory + "/out";
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  const auto n_files = [&] { return std::distance(std::filesystem::directory_iterator(directory), {}); };
  {
    OutputFile file(path, Overwrite::refuse, {});
    file.resize(6);
    file.write(3, bytes("def"));
    CHECK_FALSE(std::filesystem::exists(path));
  }
  CHECK(n_files() == 0);
  {
    OutputFile file(path, Overwrite::refuse, {});
    file.resize(6);
    file.write(3, bytes("def"));
    file.write(0, bytes("abc"));
    file.commit();
  }
  CHECK(read_file(path) == "abcdef");
  const Failure exists = failure_of([&] { OutputFile(path, Overwrite::refuse, {}); });
  CHECK(exists.code == 2);
  CHECK(exists.message.find("--force") != std::string::npos);
  {
    OutputFile file(path, Overwrite::replace, {});
    file.resize(1);
    file.write(0, bytes("x"));
    CHECK(read_file(path) == "abcdef");
    file.commit();
  }
  CHECK(read_file(path) == "x");
  {
    OutputFile late(directory + "/race", Overwrite::refuse, {});
    late.resize(1);
    write_file(directory + "/race", "first");
    CHECK(failure_of([&] { late.commit(); }).code == 2);
  }
  CHECK(read_file(directory + "/race") == "first");
  CHECK(n_files() == 2);
  CHECK(failure_of([&] { OutputFile(directory, Overwrite::replace, {}); }).code == 1);
  CHECK(failure_of([&] { OutputFile("/dev/null", Overwrite::replace, {}); }).code == 2);
  CHECK(failure_of([&] { OutputFile(directory + "/no/such", Overwrite::replace, {}); }).code == 1);
}

TEST_CASE("output file: no input is replaced, by whatever name; a link stays and its target is replaced") {
  namespace fs = std::filesystem;
  const std::string directory = temp_dir(), input = directory + "/input";
  write_file(input, "input");
  fs::create_hard_link(input, directory + "/hard");
  fs::create_symlink("input", directory + "/soft");
  fs::create_directory(directory + "/below");
  fs::create_symlink("../input", directory + "/below/far");
  write_file(directory + "/other", "other");
  fs::create_symlink("../other", directory + "/below/link");
  InputFiles inputs;
  inputs.add(input, "-f");
  inputs.add(directory + "/missing", "-m");
  for (const char* name : {"/input", "/hard", "/soft", "/below/far"}) {
    const Failure failure = failure_of([&] { OutputFile(directory + name, Overwrite::replace, inputs); });
    CHECK(failure.code == 2);
    CHECK(failure.message.find("-f ") != std::string::npos);
  }
  const auto n_files = [&] { return std::distance(fs::directory_iterator(directory), {}); };
  const auto before = n_files();
  OutputFile file(directory + "/below/link", Overwrite::replace, inputs);
  file.resize(1);
  file.write(0, std::as_bytes(std::span("x", 1)));
  file.commit();
  CHECK(read_file(directory + "/other") == "x");
  CHECK(fs::is_symlink(directory + "/below/link"));
  CHECK(n_files() == before);
  CHECK(read_file(input) == "input");
}

TEST_CASE("mapped file: a file that was written to is no more what was opened; one with another's name is") {
  const std::string path = temp_dir() + "/file";
  write_file(path, "before");
  const MappedFile mapped = MappedFile::open(path);
  mapped.check_unchanged();
  write_file(path + "-new", "after!");
  std::filesystem::rename(path + "-new", path);
  mapped.check_unchanged();
  const MappedFile other = MappedFile::open(path);
  std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) + std::chrono::nanoseconds(1));
  const Failure touched = failure_of([&] { other.check_unchanged(); });
  CHECK(touched.code == 3);
  CHECK(touched.message.find(path) == 0);
  const MappedFile longer = MappedFile::open(path);
  const auto time = std::filesystem::last_write_time(path);
  write_file(path, "after and more");
  std::filesystem::last_write_time(path, time);
  CHECK(failure_of([&] { longer.check_unchanged(); }).code == 3);
}

TEST_CASE("streams: what does not block is waited for, in both directions") {
  int ends[2];
  REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  const FileDescriptor from(ends[0]);
  std::optional<FileDescriptor> to(ends[1]);
  std::string sent(1 << 20, 'a'), got;
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 % 251);
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the reader finds nothing at first
    CHECK(write_stream(to->get(), sent) == 0);
    to.reset();
  });
  char block[4096];
  ssize_t n = 0;
  while ((n = read_stream(from.get(), block, sizeof block)) > 0) got.append(block, static_cast<size_t>(n));
  writer.join();
  CHECK(n == 0);
  CHECK(got == sent);
}
