// Protocol buffers' wire format, as far as a model of SentencePiece needs it: the fields of one message, one by one.
// Knows no schema.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gpt2 {

struct ProtoField {
  enum class Kind : uint8_t { varint, fixed64, bytes, fixed32 };
  uint32_t number = 0;
  Kind kind = Kind::varint;
  uint64_t value = 0;      // of a varint or the bits of a fixed one
  std::string_view bytes;  // of a string or an inner message
  size_t offset = 0;       // of the field in the file, for messages
};

// Reads the fields of `message`, which stands at `offset` of `file`.
class ProtoReader {
 public:
  ProtoReader(std::string_view message, std::string_view file, size_t offset = 0)
      : rest_(message), file_(file), offset_(offset) {}

  // Returns false at the end. Throws Error (exit 3) with the offset of what is no field: a number over 64 bits, bytes
  // past the end, a group (which nobody writes any more).
  bool next(ProtoField& field);

 private:
  [[noreturn]] void refuse(std::string_view expected, std::string_view found) const;
  uint64_t take_varint();
  uint64_t take_fixed(size_t n_bytes);

  std::string_view rest_, file_;
  size_t offset_;
};

}  // namespace gpt2
