#include "tests/fixtures.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "kernels/float_types.h"
#include "src/io/byte_sink.h"
#include "src/io/safetensors.h"
#include "src/convert/convert.h"
#include "tests/kernel_cases.h"
#include "tests/support.h"

namespace gpt2::test {

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string CheckpointFixture::safetensors() const {
  std::vector<TensorInfo> infos;
  std::string data;
  const size_t item = safetensors_item_size(dtype);
  for (const auto& [name, values] : tensors) {
    TensorInfo info = {prefix + name, dtype, shapes.at(name), data.size(), data.size() + values.size() * item};
    for (const float value : values) {
      char bytes[8];
      const uint16_t half = dtype == "F16" ? float_to_f16(value) : float_to_bf16(value);
      const double wide = value;
      const void* written = dtype == "F32" ? static_cast<const void*>(&value) : dtype == "F64" ? static_cast<const void*>(&wide) : &half;
      std::memcpy(bytes, written, item);
      data.append(bytes, item);
    }
    infos.push_back(info);
  }
  return safetensors_header({{"format", "pt"}}, infos, 8) + data;
}

std::string CheckpointFixture::write() const {
  const std::string directory = temp_dir();
  write_file(directory + "/config.json", config_json);
  write_file(directory + "/vocab.json", vocab_json);
  write_file(directory + "/merges.txt", merges_txt);
  write_file(directory + "/model.safetensors", safetensors());
  return directory;
}

CheckpointFixture make_checkpoint(const FixtureShape& s, uint64_t seed) {
  CheckpointFixture fixture;
  Numbers numbers(seed);
  const auto add = [&](const std::string& name, std::vector<uint64_t> shape, float centre, float scale) {
    uint64_t n = 1;
    for (const uint64_t d : shape) n *= d;
    std::vector<float>& values = fixture.tensors[name];
    for (uint64_t i = 0; i < n; ++i) values.push_back(centre + numbers.next(scale));
    fixture.shapes[name] = std::move(shape);
  };
  add("wte.weight", {s.n_vocab, s.n_embd}, 0, 0.5f);
  add("wpe.weight", {s.n_ctx, s.n_embd}, 0, 0.2f);
  for (uint32_t i = 0; i < s.n_layer; ++i) {
    const std::string h = "h." + std::to_string(i) + ".";
    for (const char* norm : {"ln_1", "ln_2"}) {
      add(h + norm + ".weight", {s.n_embd}, 1, 0.1f);
      add(h + norm + ".bias", {s.n_embd}, 0, 0.1f);
    }
    const auto linear = [&](const std::string& name, uint64_t inputs, uint64_t outputs) {
      add(h + name + ".weight", {inputs, outputs}, 0, 0.2f);
      add(h + name + ".bias", {outputs}, 0, 0.1f);
    };
    linear("attn.c_attn", s.n_embd, 3 * uint64_t{s.n_embd});
    linear("attn.c_proj", s.n_embd, s.n_embd);
    linear("mlp.c_fc", s.n_embd, s.n_inner);
    linear("mlp.c_proj", s.n_inner, s.n_embd);
  }
  add("ln_f.weight", {s.n_embd}, 1, 0.1f);
  add("ln_f.bias", {s.n_embd}, 0, 0.1f);
  fixture.config_json = "{\"model_type\":\"gpt2\",\"n_layer\":" + std::to_string(s.n_layer) +
                        ",\"n_head\":" + std::to_string(s.n_head) + ",\"n_embd\":" + std::to_string(s.n_embd) +
                        ",\"n_inner\":" + std::to_string(s.n_inner) + ",\"n_positions\":" + std::to_string(s.n_ctx) +
                        ",\"vocab_size\":" + std::to_string(s.n_vocab) + ",\"activation_function\":\"gelu_new\"}";
  fixture.vocab_json = R"({"a":0,"b":1,"ab":2})";
  fixture.merges_txt = "#version: 0.2\na b\n";
  return fixture;
}

Model convert_model(const std::string& path, const ConvertOptions& options, std::vector<std::string>* warnings) {
  MemorySink sink;
  ConvertReport report = convert_checkpoint(path, options, sink, nullptr);
  if (warnings != nullptr) *warnings = std::move(report.warnings);
  return Model::from_memory(sink.take(), path);
}

Model convert_model(const std::string& path, DType dtype) {
  ConvertOptions options;
  options.dtype = dtype;
  return convert_model(path, options);
}

Model convert_fixture(const CheckpointFixture& fixture, const ConvertOptions& options) {
  return convert_model(fixture.write(), options);
}

const Model& books() {
  static const Model model = convert_model(source_path("models/books"));
  return model;
}

}  // namespace gpt2::test
