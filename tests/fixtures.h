// Small checkpoints that the tests make for themselves, in any shape, dtype and spelling; and files to write them to.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/model/config.h"
#include "src/convert/convert.h"
#include "src/model/model.h"

namespace gpt2::test {

void write_file(const std::string& path, std::string_view bytes);
std::string read_file(const std::string& path);

// A Hugging Face directory before it is written: every part can be changed.
struct CheckpointFixture {
  std::map<std::string, std::vector<float>> tensors;
  std::map<std::string, std::vector<uint64_t>> shapes;
  std::string dtype = "F32";   // of all tensors
  std::string prefix;          // of all names: "transformer."
  std::string config_json, vocab_json, merges_txt;

  // model.safetensors as bytes.
  std::string safetensors() const;
  // Writes the directory and returns its path.
  std::string write() const;
};

// Random weights. The default is the smallest shape that is unlike GPT-2 everywhere: width 48, heads of 16, 3 tokens.
struct FixtureShape {
  uint32_t n_layer = 2, n_head = 3, n_embd = 48, n_inner = 80, n_ctx = 80, n_vocab = 3;
};
CheckpointFixture make_checkpoint(const FixtureShape& shape, uint64_t seed = 1);

// Converts a directory or file in memory; fills `warnings` where they are wanted.
Model convert_model(const std::string& path, const ConvertOptions& options = {},
                    std::vector<std::string>* warnings = nullptr);
Model convert_model(const std::string& path, DType dtype);
Model convert_fixture(const CheckpointFixture& fixture, const ConvertOptions& options = {});
// models/books, converted in memory once.
const Model& books();

// The exit code and message of what `action` throws; code 0 and no message if it does not.
struct Failure {
  int code = 0;
  std::string message;
};
template <class Action>
Failure failure_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.what()};
  }
  return {};
}

}  // namespace gpt2::test
