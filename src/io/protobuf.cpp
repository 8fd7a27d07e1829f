#include "src/io/protobuf.h"

#include <string>

#include "src/base/error.h"

namespace gpt2 {

void ProtoReader::refuse(std::string_view expected, std::string_view found) const {
  fail_model(file_, "byte " + std::to_string(offset_), expected, found);
}

uint64_t ProtoReader::take_varint() {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) refuse("a whole number", "the end");
    const auto byte = static_cast<unsigned char>(rest_[0]);
    if (shift == 63 && byte > 1) break;
    rest_.remove_prefix(1);
    ++offset_;
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  refuse("a number of 64 bits", "a longer one");
}

uint64_t ProtoReader::take_fixed(size_t n_bytes) {
  if (rest_.size() < n_bytes) refuse(std::to_string(n_bytes) + " bytes", "the end");
  uint64_t value = 0;
  for (size_t i = n_bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(rest_[i]);
  rest_.remove_prefix(n_bytes);
  offset_ += n_bytes;
  return value;
}

bool ProtoReader::next(ProtoField& field) {
  if (rest_.empty()) return false;
  field = {};
  field.offset = offset_;
  const uint64_t key = take_varint();
  if (key >> 3 == 0 || key >> 3 > (1u << 29)) {
    refuse("a field of a protocol buffer", "number " + std::to_string(key >> 3));
  }
  field.number = static_cast<uint32_t>(key >> 3);
  switch (key & 7) {
    case 0:
      field.value = take_varint();
      return true;
    case 1:
      field.kind = ProtoField::Kind::fixed64;
      field.value = take_fixed(8);
      return true;
    case 2: {
      field.kind = ProtoField::Kind::bytes;
      const uint64_t length = take_varint();
      if (length > rest_.size()) refuse(std::to_string(length) + " bytes", std::to_string(rest_.size()));
      field.bytes = rest_.substr(0, length);
      field.offset = offset_;
      rest_.remove_prefix(length);
      offset_ += length;
      return true;
    }
    case 5:
      field.kind = ProtoField::Kind::fixed32;
      field.value = take_fixed(4);
      return true;
    default: refuse("a field of a protocol buffer", "one of wire type " + std::to_string(key & 7));
  }
}

}  // namespace gpt2
