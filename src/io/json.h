// JSON as a small tree of our own, read with simdjson (which stays in json.cpp), and the little that we write.
// Stricter than a map: duplicate keys (after unescaping), depth over 64 and bad UTF-8 are errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

class Json {
 public:
  enum class Kind { null, boolean, integer, unsigned_integer, real, string, array, object };
  struct Member;

  Kind kind = Kind::null;
  bool boolean = false;
  int64_t integer = 0;             // Kind::integer: every whole number that fits int64_t
  uint64_t unsigned_integer = 0;   // Kind::unsigned_integer: above INT64_MAX only
  double real = 0;                 // Kind::real: written with '.', 'e' or 'E'
  std::string string;
  std::vector<Json> array;
  std::vector<Member> object;      // in file order

  // The member of an object with this key, nullptr if there is none or this is no object.
  const Json* find(std::string_view key) const;
  // What the value is, for messages: "null", "the number 3", "the string \"x\"", "an array of 2", "an object".
  std::string describe() const;
};

struct Json::Member {
  std::string first;  // the key
  Json second;        // its value
  size_t offset = 0;  // of the key's quote in the document
};

// Why a text is not accepted, and at which byte that shows.
struct JsonFault {
  std::string expected, found;
  size_t offset = 0;
};
// Reads one JSON document into `out`; a fault leaves it as it was.
std::optional<JsonFault> read_json(std::string_view text, Json& out);

// The same where a fault is an error. `file` and `item` (may be empty) name it in the error (exit code 3 through fail_model).
Json parse_json(std::string_view text, std::string_view file, std::string_view item = "JSON");

// A JSON string literal with its quotes: escapes ", \ and control characters; invalid UTF-8 becomes U+FFFD.
std::string json_quote(std::string_view text);

// The shortest decimal that reads back as the same number; "null" when not finite.
std::string json_number(double value);
std::string json_number(float value);

}  // namespace gpt2
