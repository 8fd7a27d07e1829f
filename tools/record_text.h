// A record as it stands in an input of many: where it is, what is read from its text, and what is said of a bad one.
// Knows no command.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/io/json.h"

namespace gpt2 {

// A line that is longer is no record. --help tells it.
inline constexpr uint64_t kMaxRecordBytes = uint64_t{16} << 20;
// A JSON object with more values (numbers, strings, keys, ..) is no record: each takes about 150 bytes of memory once
// it is read. --help tells it.
inline constexpr size_t kMaxRecordValues = size_t{1} << 18;

enum class RecordFormat { lines, null, jsonl };

// Where a record stands.
struct RecordPlace {
  uint64_t index = 0, line = 1;
};

struct RecordFailure {
  ExitCode code = ExitCode::input;
  std::string message;  // "stdin:3:17: unknown key \"foo\""
};

// What is wrong, at a byte of the record: thrown while it is read.
struct RecordFault {
  ExitCode code = ExitCode::input;
  std::string message;
  size_t offset = 0;
};

// Returns "stdin:3:17: ", the place of a byte of a record in the input that `source` names.
std::string place_text(std::string_view source, RecordFormat format, RecordPlace place, size_t offset);

// Returns the object that a record is. Throws RecordFault.
Json record_object(std::string_view text);
// Returns where the text begins behind white space.
size_t record_begin(std::string_view text);

// Returns the value of an array of token ids below n_vocab. Throws RecordFault.
std::vector<int32_t> token_array(const Json::Member& member, uint32_t n_vocab);

// Returns an id as it stands in a result; empty if it is neither a string nor a whole number.
std::string id_text(const Json& json);

// Returns whether a key has a value: null is as good as no key.
bool is_present(const Json* json);
// Returns the text in quotes, safe for a message.
std::string quoted_text(std::string_view text);

}  // namespace gpt2
