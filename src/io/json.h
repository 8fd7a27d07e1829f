// JSON as a small tree of our own, read with simdjson (which stays in json.cpp), and the little that we write.
// Stricter than a map: duplicate keys (after unescaping), depth over 64 and bad UTF-8 are errors; so is a text whose
// tree would take more than kJsonMemory times its bytes, which is counted before anything is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpt2 {

// The children of a value: a vector behind one pointer, since most values have none.
template <class T>
class JsonList {
 public:
  JsonList() = default;
  JsonList(JsonList&&) noexcept = default;
  JsonList& operator=(JsonList&&) noexcept = default;
  JsonList(const JsonList& other) : items_(other.items_ ? std::make_unique<std::vector<T>>(*other.items_) : nullptr) {}
  JsonList& operator=(const JsonList& other) { return *this = JsonList(other); }

  bool empty() const { return size() == 0; }
  size_t size() const { return items_ ? items_->size() : 0; }
  const T* data() const { return items_ ? items_->data() : nullptr; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }
  const T& operator[](size_t i) const { return (*items_)[i]; }
  // Sets the list, once.
  void set(std::vector<T>&& items) { items_ = std::make_unique<std::vector<T>>(std::move(items)); }

 private:
  std::unique_ptr<std::vector<T>> items_;
};

class Json {
 public:
  enum class Kind { null, boolean, integer, unsigned_integer, real, string, array, object };
  struct Member;

  Kind kind = Kind::null;
  bool boolean = false;
  union {                        // which one: `kind`
    int64_t integer = 0;         // Kind::integer: every whole number that fits int64_t
    uint64_t unsigned_integer;   // Kind::unsigned_integer: above INT64_MAX only
    double real;                 // Kind::real: written with '.', 'e' or 'E', or past the integers
  };
  std::string string;
  JsonList<Json> array;
  JsonList<Member> object;       // in file order

  // Returns the member of an object with this key, nullptr if there is none or this is no object.
  const Json* find(std::string_view key) const;
  // Returns what the value is, for messages: "null", "the number 3", "the string \"x\"", "an array of 2", "an object".
  std::string describe() const;
};

struct Json::Member {
  std::string first;  // the key
  Json second;        // its value
  size_t offset = 0;  // of the key's quote in the document
};

// Bytes of tree for each byte of text, at most (and a megabyte for a small text). The densest of real files, a
// tokenizer's merges as pairs without spaces, come to 13.
inline constexpr size_t kJsonMemory = 16;

// Why a text is not accepted, and at which byte that shows.
struct JsonFault {
  std::string expected, found;
  size_t offset = 0;
};
// Reads one JSON document into `out` and returns nullopt; or returns the fault and leaves `out` as it was.
std::optional<JsonFault> read_json(std::string_view text, Json& out);

// Returns the tree of a document; a fault is an error. `file` and `item` (may be empty) name it in the error (exit code
// 3 through fail_model).
Json parse_json(std::string_view text, std::string_view file, std::string_view item = "JSON");

// Returns a JSON string literal with its quotes: escapes ", \ and control characters; bytes that are no UTF-8 become
// U+FFFD, one for each maximal subpart.
std::string json_quote(std::string_view text);

// Returns the shortest decimal that reads back as the same number; "null" when not finite.
std::string json_number(double value);
std::string json_number(float value);

}  // namespace gpt2
