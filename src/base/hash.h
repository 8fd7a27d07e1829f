// XXH3, 64 bits, seed 0 (libxxhash): checksums of what is stored. Not a seal against forgery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gpt2 {

uint64_t xxh3(std::span<const std::byte> bytes);

// Computes xxh3() of bytes that come in pieces.
class Xxh3Stream {
 public:
  Xxh3Stream();
  Xxh3Stream(const Xxh3Stream&) = delete;
  ~Xxh3Stream();
  void reset();
  void update(std::span<const std::byte> bytes);
  uint64_t digest() const;

 private:
  void* state_;
};

std::string hex64(uint64_t value);  // 16 digits, lower case
// Returns the number that hex64() wrote so; nullopt for any other text.
std::optional<uint64_t> parse_hex64(std::string_view text);

}  // namespace gpt2
