// GGUF files made byte by byte, good ones and ones that attack their reader.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/io/gguf.h"

namespace gpt2::test {

// The encodings of values; any number may be written where the format expects a count or a length.
std::string le32(uint32_t value);
std::string le64(uint64_t value);
std::string gguf_text(const std::string& text);

// A file as pieces, so that a test can break any of them.
struct GgufPieces {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::string entries;  // one after the other
  std::string tensors;  // their descriptions
  uint64_t n_entries = 0, n_tensors = 0;
  std::string data;
  uint64_t alignment = 32;

  void entry(const std::string& key, GgufKind kind, const std::string& value);
  void array(const std::string& key, GgufKind kind, uint64_t count, const std::string& items);
  // Its data begins at the end of what is there, padded.
  void tensor(const std::string& name, const std::vector<uint64_t>& shape, GgufType type, const std::string& bytes);
  void description(const std::string& name, const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset);
  std::string file() const;
};

// Each kind of key and two tensors.
GgufPieces small_gguf();

struct HostileGguf {
  std::string name, file;
  std::string item;  // what the message names
};
// Files that no reader may accept.
std::vector<HostileGguf> hostile_containers();

}  // namespace gpt2::test
