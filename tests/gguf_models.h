// GGUF files that are models: copies of the goldens of which any part can be changed, and what no reader may accept.
#pragma once

#include <string>
#include <vector>

#include "tests/gguf_files.h"

namespace gpt2::test {

// The files of tests/data/gguf, one for each architecture.
inline constexpr const char* kGgufGoldens[] = {"gpt2",    "starcoder", "llama",    "llama3", "qwen2",
                                               "gptneox", "phi2",      "stablelm", "gemma"};
// Returns the path of one.
std::string gguf_golden(const std::string& name);

class GgufCopy {
 public:
  // Of tests/data/gguf/NAME.gguf.
  explicit GgufCopy(const std::string& name);

  GgufCopy& remove(const std::string& key);
  GgufCopy& set(const std::string& key, GgufKind kind, const std::string& value);
  GgufCopy& set_array(const std::string& key, GgufKind kind, uint64_t count, const std::string& items);
  GgufCopy& set_u32(const std::string& key, uint32_t value) { return set(key, GgufKind::u32, le32(value)); }
  GgufCopy& set_f32(const std::string& key, float value);
  GgufCopy& set_text(const std::string& key, const std::string& text) {
    return set(key, GgufKind::string, gguf_text(text));
  }
  GgufCopy& set_flag(const std::string& key, bool value) {
    return set(key, GgufKind::boolean, std::string(1, value ? '\1' : '\0'));
  }
  GgufCopy& set_texts(const std::string& key, const std::vector<std::string>& texts);
  std::vector<std::string> texts(const std::string& key) const;

  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;  // inputs first
    GgufType type = GgufType::f32;
    std::string data;
  };
  Tensor& tensor(const std::string& name);
  GgufCopy& remove_tensor(const std::string& name);
  // Of zeros.
  GgufCopy& add_tensor(const std::string& name, const std::vector<uint64_t>& shape, GgufType type);
  GgufCopy& reshape(const std::string& name, const std::vector<uint64_t>& shape, GgufType type);
  const std::vector<Tensor>& tensors() const { return tensors_; }

  std::string file() const;

 private:
  struct Entry {
    std::string key, value;  // the kind and what follows it
  };
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

// Containers without fault whose models no reader may accept.
std::vector<HostileGguf> hostile_models();

}  // namespace gpt2::test
