// Bounds of memory: what a file or a request may claim is checked before memory is taken for it.
#include <doctest/doctest.h>

#include <string>

#include "src/convert/tokenizer_files.h"
#include "src/io/json.h"
#include "src/io/mapped_file.h"
#include "src/io/safetensors.h"
#include "src/model/workspace.h"
#include "tests/fixtures.h"
#include "tests/support.h"
#include "tools/engine_arguments.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::string repeated(const std::string& first, const std::string& part, size_t n, const std::string& last) {
  std::string text = first;
  for (size_t i = 0; i < n; ++i) text += part;
  return text + last;
}

}  // namespace

TEST_CASE("json: a text whose tree would be many times its size is refused before the tree is built") {
  Json json;
  for (const auto& [part, last] : {std::pair("0,", "0]"), {"[],", "0]"}, {"{},", "0]"}, {"\"\",", "0]"}}) {
    const auto fault = read_json(repeated("[", part, 100'000, last), json);
    CAPTURE(part);
    REQUIRE(fault.has_value());
    CHECK(fault->expected.find("fewer values for its ") != std::string::npos);
    CHECK(fault->found.find("values") != std::string::npos);
    // A small one may be as dense as it likes.
    CHECK_FALSE(read_json(repeated("[", part, 1000, last), json).has_value());
    CHECK(json.array.size() == 1001);
  }
  // What stands in strings is no value, quotes and backslashes behind a backslash are no end.
  CHECK_FALSE(read_json(repeated("[\"\\\"", ",[:{", 200'000, "\\\\\"]"), json).has_value());
  CHECK(json.array.size() == 1);
  // The densest that files hold: merges as pairs, without spaces, and a vocabulary of short tokens.
  CHECK_FALSE(read_json(repeated("[", "[\"ab\",\"cd\"],", 200'000, "0]"), json).has_value());
  std::string vocabulary = "{\"first\":0";
  for (int i = 0; i < 100'000; ++i) vocabulary += ",\"" + std::to_string(i) + "\":" + std::to_string(i);
  CHECK_FALSE(read_json(vocabulary + "}", json).has_value());
  CHECK(json.object.size() == 100'001);
}

TEST_CASE("json: of keys that are there twice the first repetition is named") {
  Json json;
  const auto fault = read_json(R"({"z":1,"a":{"y":1,"y":2},"b":2,"a":3,"z":4})", json);
  REQUIRE(fault.has_value());
  CHECK(fault->found.find("\"y\" twice") == 0);
  CHECK(fault->offset == 18);
  const auto later = read_json(R"({"z":1,"a":{"y":1},"b":2,"a":3,"z":4})", json);
  REQUIRE(later.has_value());
  CHECK(later->found.find("\"a\" twice") == 0);
}

TEST_CASE("bounds: a header and a vocabulary of numbers, and merges without end, are refused by name") {
  const std::string header = repeated("{\"__metadata__\":{\"a\":[", "0,", 100'000, "0]}}");
  std::string file(8, '\0');
  for (int i = 0; i < 8; ++i) file[static_cast<size_t>(i)] = static_cast<char>(header.size() >> (8 * i));
  file += header;
  const Failure refused = failure_of([&] { parse_safetensors(std::as_bytes(std::span(file)), "x.safetensors"); });
  CHECK(refused.code == 3);
  CHECK_MESSAGE(refused.message.find("x.safetensors: header: expected a text of fewer values") == 0, refused.message);
  const std::string directory = make_checkpoint({}).write();
  write_file(directory + "/merges.txt", repeated("", "a b\n", 1000, ""));
  const Failure merges = failure_of([&] { read_vocabulary(directory); });
  CHECK(merges.code == 3);
  CHECK_MESSAGE(merges.message.find("merges.txt: merges: expected at most 304 for 3 tokens") != std::string::npos, merges.message);
  write_file(directory + "/vocab.json", repeated("{\"a\":[", "0,", 100'000, "0]}"));
  const Failure vocab = failure_of([&] { read_vocabulary(directory); });
  CHECK(vocab.code == 3);
  CHECK_MESSAGE(vocab.message.find("vocab.json: JSON: expected a text of fewer values") != std::string::npos, vocab.message);
}

TEST_CASE("mapped file: an address names the file that it lies in") {
  const std::string directory = temp_dir(), first = directory + "/first", second = directory + "/sec\x1b[1mond";
  write_file(first, std::string(5000, 'a'));
  write_file(second, "b");
  const void* gone = nullptr;
  {
    const MappedFile a = MappedFile::open(first);
    MappedFile b = MappedFile::open(second);
    const MappedFile moved = std::move(b);
    gone = a.bytes().data();
    CHECK(mapped_file_at(a.bytes().data()) == first);
    CHECK(mapped_file_at(a.bytes().data() + 4999) == first);
    CHECK(mapped_file_at(a.bytes().data() + 5000) == nullptr);
    CHECK(mapped_file_at(moved.bytes().data()) == directory + "/sec\\x1B[1mond");
    CHECK(mapped_file_at(&gone) == nullptr);
  }
  CHECK(mapped_file_at(gone) == nullptr);
  CHECK(mapped_file_at(nullptr) == nullptr);
}

TEST_CASE("bounds: rows of prompts that one step computes stay within 256 MiB, and every GPT-2 keeps its 256") {
  Config xl;
  xl.n_embd = 1600;
  xl.n_head = xl.n_kv_head = 25;
  xl.d_head = 64;
  xl.n_inner = 6400;
  CHECK(affordable_rows(xl, 256) == 256);
  xl.n_vocab = 50257;
  CHECK(affordable_outputs(xl, 128) == 128);
  Config wide = xl;
  wide.n_inner = kMaxInner;
  CHECK(affordable_rows(wide, 256) == 31);
  CHECK(affordable_rows(wide, 8) == 8);
  CHECK(rows_note(xl, "xl.gpt2", 5000) == "");
  CHECK(rows_note(wide, "wide.gpt2", 31) == "");
  CHECK(rows_note(wide, "wide.gpt2", 5000) ==
        "note: wide.gpt2: its layers are so wide that a prompt is computed 31 tokens at a time instead of 256, which stays within 256 MiB");
  wide.n_embd = kMaxWidth;
  wide.n_head = wide.n_kv_head = kMaxWidth / 16;
  wide.d_head = 16;
  const uint32_t rows = affordable_rows(wide, 256);
  CHECK(rows >= 1);
  CHECK(uint64_t{rows} * (6 * wide.n_embd + 2 * wide.n_inner) * 4 <= uint64_t{256} << 20);
  // Rows that want logits, at the largest vocabulary.
  wide.n_vocab = kMaxVocab;
  const uint32_t outputs = affordable_outputs(wide, 128);
  CHECK(outputs >= 1);
  CHECK(uint64_t{outputs} * (6 * wide.n_embd + 2 * wide.n_inner + kMaxVocab) * 4 <= uint64_t{256} << 20);
  CHECK(outputs < rows);
  CHECK(affordable_outputs(wide, 1) == 1);
  CHECK(affordable_rows(wide, 0) == 1);
}
