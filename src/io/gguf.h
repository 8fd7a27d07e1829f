// The GGUF container: keys with values, tensors with shapes and types, data. Reading takes bytes, not a file, checks
// everything before anything is used, copies nothing, and knows no key's and no tensor's meaning.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

// What a value is, numbered as in the file.
enum class GgufKind : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
std::string_view gguf_kind_name(GgufKind kind);  // "u8", "string", ...

// A view into the file's bytes. A scalar is one item; a string's item is its length (8 bytes) and its text.
struct GgufValue {
  GgufKind kind = GgufKind::u8;  // of the items
  bool is_array = false;
  uint64_t count = 1;
  std::span<const std::byte> data;  // of all items
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

// The types that tensors of a file may have, numbered as in the file.
enum class GgufType : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13,
  q6_k = 14, iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22, iq4_xs = 23,
  i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28, iq1_m = 29, bf16 = 30, tq1_0 = 34, tq2_0 = 35, mxfp4 = 39,
  nvfp4 = 40, q1_0 = 41
};

// A block is the least that is stored: so many weights in so many bytes.
struct GgufTypeInfo {
  GgufType type;
  std::string_view name;  // "Q4_0"
  uint32_t weights, bytes;
};
const GgufTypeInfo& gguf_type_info(GgufType type);
// Returns the type's description, nullptr for a number that no type has.
const GgufTypeInfo* find_gguf_type(uint32_t number);

inline constexpr size_t kGgufMaxRank = 4;

struct GgufTensor {
  std::string_view name;
  GgufType type = GgufType::f32;
  uint32_t rank = 1;
  std::array<uint64_t, kGgufMaxRank> shape = {1, 1, 1, 1};  // inputs first: shape[0] weights are contiguous
  uint64_t begin = 0;                                       // of its data, from the start of the file
  uint64_t bytes = 0;
};

class GgufFile {
 public:
  // Parses and validates a whole file held in `bytes`, which outlives the result; `path` is for messages. Throws Error
  // (exit 3) that names the item: magic, version 2 or 3 (1 and big-endian ones by name), counts and lengths inside the
  // file, kinds, no nested arrays, no key or tensor twice, alignment a power of two, shapes without zero and overflow,
  // whole blocks in a row, data aligned, inside the file and nowhere shared. O(n log n) in the metadata; memory at most
  // 5 times its bytes.
  static GgufFile parse(std::span<const std::byte> bytes, std::string_view path);

  uint32_t version() const noexcept { return version_; }
  uint64_t alignment() const noexcept { return alignment_; }
  uint64_t data_begin() const noexcept { return data_begin_; }
  const std::string& path() const noexcept { return path_; }
  std::span<const GgufEntry> entries() const noexcept { return entries_; }   // in file order
  std::span<const GgufTensor> tensors() const noexcept { return tensors_; }  // in file order
  const GgufTensor* find_tensor(std::string_view name) const;
  std::span<const std::byte> data(const GgufTensor& tensor) const { return bytes_.subspan(tensor.begin, tensor.bytes); }

  // Returns the value of a key, nullptr if it is absent.
  const GgufValue* find(std::string_view key) const;
  // Returns the value of a key; nothing if it is absent. Each throws Error (exit 3) where the value is of another kind:
  // integer() takes every kind of integer from 0 on, number() f32 and f64 too.
  std::optional<uint64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;  // u64 items above 2^63 - 1 are refused
  std::optional<std::vector<float>> floats(std::string_view key) const;      // of f32 items

 private:
  class Parser;
  GgufFile() = default;
  [[noreturn]] void refuse(std::string_view key, std::string_view expected, const GgufValue& found) const;
  const GgufValue* find_array(std::string_view key, std::string_view expected) const;

  std::string path_;
  std::span<const std::byte> bytes_;
  uint32_t version_ = 3;
  uint64_t alignment_ = 32, data_begin_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> keys_, names_;  // indices of entries_ and tensors_, sorted by key and name
};

// Returns "string", "array of 3 u32" and so on, for messages and listings.
std::string describe(const GgufValue& value);

}  // namespace gpt2
