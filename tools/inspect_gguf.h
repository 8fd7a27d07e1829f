// What a GGUF file is, for inspect: its container, its tensors by type, its tokenizer.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gpt2 {

struct GgufReport {
  std::vector<std::pair<std::string, std::string>> rows;  // for people
  std::string json;                                       // an object
};

// Reads the file's keys and descriptions, not its weights. Throws Error (exit 3) for one that is no GGUF.
GgufReport report_gguf(const std::string& path);

}  // namespace gpt2
