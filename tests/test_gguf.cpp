// GGUF: the container on good, broken and cut files, and every block type against the values of the Python package `gguf`.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>

#include "src/base/error.h"
#include "src/convert/gguf_blocks.h"
#include "src/io/gguf.h"
#include "src/io/mapped_file.h"
#include "tests/gguf_files.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

GgufFile parse(const std::string& file) { return GgufFile::parse(std::as_bytes(std::span(file)), "f.gguf"); }

// The message of the refusal; empty if the file is accepted.
std::string refusal(const std::string& file) {
  try {
    parse(file);
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::model);
    return error.what();
  }
}

// What the message says after the file's name.
std::string item_of(const std::string& message) { return message.substr(std::string("f.gguf: ").size()); }

}  // namespace

TEST_CASE("gguf: keys and tensors of a small file") {
  const std::string bytes = small_gguf().file();
  const GgufFile file = parse(bytes);
  CHECK(file.version() == 3);
  CHECK(file.string("general.architecture") == "test");
  CHECK(file.integer("test.u8") == 7u);
  CHECK(file.number("test.f32") == 1.5);
  CHECK(file.boolean("test.bool") == true);
  CHECK(file.string("test.string") == "a \n b");
  CHECK(file.strings("test.strings") == std::vector<std::string_view>{"", "x", "yz"});
  CHECK(file.integers("test.empty") == std::vector<int64_t>{});
  CHECK(file.integers("test.numbers") == std::vector<int64_t>{-1, 2});
  CHECK_FALSE(file.integer("test.absent").has_value());
  REQUIRE(file.tensors().size() == 2);
  const GgufTensor* a = file.find_tensor("a");
  REQUIRE(a != nullptr);
  CHECK(a->shape == std::array<uint64_t, 4>{2, 3, 1, 1});
  CHECK(file.data(*a).size() == 24);
  CHECK(file.data(*a)[0] == std::byte{'a'});
  const GgufTensor* b = file.find_tensor("b");
  REQUIRE(b != nullptr);
  CHECK(file.data(*b).size() == 34);
  CHECK(file.data(*b)[33] == std::byte{'b'});
  CHECK(file.find_tensor("c") == nullptr);
}

TEST_CASE("gguf: a value of another kind is named") {
  const std::string bytes = small_gguf().file();
  const GgufFile file = parse(bytes);
  CHECK_THROWS_WITH(file.integer("test.string"), "f.gguf: test.string: expected an integer, found string");
  CHECK_THROWS_WITH(file.integer("test.negative"), "f.gguf: test.negative: expected an integer from 0, found -5");
  CHECK_THROWS_WITH(file.integer("test.u64"), "f.gguf: test.u64: expected an integer, found u64");
  CHECK_THROWS_WITH(file.integer("test.numbers"), "f.gguf: test.numbers: expected an integer, found array of 2 i32");
  CHECK_THROWS_WITH(file.number("test.bool"), "f.gguf: test.bool: expected a number, found bool");
  CHECK_THROWS_WITH(file.boolean("test.u8"), "f.gguf: test.u8: expected a bool, found u8");
  CHECK_THROWS_WITH(file.string("test.strings"), "f.gguf: test.strings: expected a string, found array of 3 string");
  CHECK_THROWS_WITH(file.strings("test.string"), "f.gguf: test.string: expected an array of strings, found string");
  CHECK_THROWS_WITH(file.strings("test.numbers"), "f.gguf: test.numbers: expected an array of strings, found array of 2 i32");
  CHECK_THROWS_WITH(file.floats("test.numbers"), "f.gguf: test.numbers: expected an array of f32, found array of 2 i32");
  CHECK_THROWS_WITH(file.integers("test.strings"), "f.gguf: test.strings: expected an array of integers, found array of 3 string");
}

TEST_CASE("gguf: version 2, gaps between tensors and another alignment are accepted") {
  GgufPieces pieces = small_gguf();
  pieces.version = 2;
  CHECK(refusal(pieces.file()) == "");
  pieces.description("c", {4}, 0, 512);
  pieces.data.resize(528, 'c');
  CHECK(refusal(pieces.file()) == "");
  GgufPieces wide;
  wide.alignment = 256;
  wide.entry("general.alignment", GgufKind::u32, le32(256));
  wide.tensor("a", {1}, GgufType::f32, "aaaa");
  wide.tensor("b", {1}, GgufType::f32, "bbbb");
  const std::string bytes = wide.file();
  const GgufFile file = parse(bytes);
  CHECK(file.data_begin() == 256);
  CHECK(file.find_tensor("b")->begin == 512);
}

TEST_CASE("gguf: hostile containers are refused by name") {
  std::set<std::string> names;
  for (const HostileGguf& hostile : hostile_containers()) {
    INFO(hostile.name);
    CHECK(names.insert(hostile.name).second);
    const std::string message = refusal(hostile.file);
    REQUIRE(message.starts_with("f.gguf: "));
    CHECK(item_of(message).starts_with(hostile.item));
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK(names.size() >= 100);
}

TEST_CASE("gguf: a file cut at any byte is refused") {
  const std::string whole = small_gguf().file();
  // The last tensor's padding may be missing.
  const size_t needed = whole.size() - (64 - 34);
  for (size_t n = 0; n < needed; ++n) {
    INFO(n);
    CHECK(refusal(whole.substr(0, n)) != "");
  }
  CHECK(refusal(whole.substr(0, needed)) == "");
}

TEST_CASE("gguf: each block type decodes to the bits of the reference") {
  const MappedFile mapped = MappedFile::open(source_path("tests/data/blocks.gguf"));
  const GgufFile file = GgufFile::parse(mapped.bytes(), mapped.path());
  CHECK(file.integer("test.uint32") == 4000000000u);
  CHECK(file.number("test.float64") == 0.1);
  CHECK(file.string("test.string") == "a b\n\xC3\xA9");
  CHECK(file.floats("test.floats") == std::vector<float>{0.5f, -2.0f});
  size_t n_types = 0, n_values = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name.ends_with(".values")) continue;
    INFO(std::string(tensor.name));
    const GgufTensor* values = file.find_tensor(std::string(tensor.name) + ".values");
    REQUIRE(values != nullptr);
    REQUIRE(can_decode(tensor.type));
    std::vector<float> expected(values->bytes / sizeof(float)), found(expected.size());
    std::memcpy(expected.data(), file.data(*values).data(), values->bytes);
    decode_blocks(tensor.type, file.data(tensor), found);
    for (size_t i = 0; i < found.size(); ++i) {
      const bool same = std::bit_cast<uint32_t>(found[i]) == std::bit_cast<uint32_t>(expected[i]);
      if (!same && !(std::isnan(found[i]) && std::isnan(expected[i]))) FAIL(i, ": ", found[i], " not ", expected[i]);
    }
    if (has_scaled_codes(tensor.type)) {
      const ScaledCodes codes = scaled_codes(tensor.type, file.data(tensor).data());
      for (size_t i = 0; i < ScaledCodes::kWeights; ++i) CHECK(std::abs(codes.codes[i]) <= 128);
    }
    ++n_types;
    n_values += found.size();
  }
  CHECK(n_types == 14);
  CHECK(n_values > 8000);
}
