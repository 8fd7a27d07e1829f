// Files that are wrong: each check of each reader refuses its own malformed file with exit 3 and a line that names the file and
// the item. Every case starts from a file that is accepted and breaks one thing.
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>

#include "src/base/hash.h"
#include "src/io/checkpoint.h"
#include "src/io/json.h"
#include "src/io/safetensors.h"
#include "src/convert/config_json.h"
#include "src/convert/convert.h"
#include "src/convert/tokenizer_files.h"
#include "tests/fixtures.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

void check_refused(const Failure& failure, std::string_view file, std::string_view item) {
  CHECK_MESSAGE(failure.code == 3, item << ": exit " << failure.code << " " << failure.message);
  CHECK_MESSAGE(failure.message.find(file) != std::string::npos, failure.message << " names no " << file);
  // Behind the path, which ends at a colon: it may have the item's name in it.
  const size_t path_end = failure.message.find(": ", std::min(failure.message.find(file), failure.message.size()));
  const std::string rest = failure.message.substr(std::min(path_end, failure.message.size()));
  CHECK_MESSAGE(rest.find(item) != std::string::npos, failure.message << " names no " << item);
  CHECK(failure.message.find('\n') == std::string::npos);
}

std::string with_length(uint64_t length, std::string_view rest) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + std::string(rest);
}

std::string safetensors_of(std::string_view header, size_t data_bytes = 0) {
  return with_length(header.size(), std::string(header) + std::string(data_bytes, '\0'));
}

Failure parse_failure(const std::string& bytes) {
  return failure_of([&] { parse_safetensors(std::as_bytes(std::span(bytes)), "dir/x.safetensors"); });
}

std::string entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return "{\"a\":{\"dtype\":" + std::string(dtype) + ",\"shape\":" + std::string(shape) + ",\"data_offsets\":" +
         std::string(offsets) + "}}";
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("malformed: safetensors") {
  const std::string good = entry("\"F32\"", "[2,3]", "[0,24]");
  REQUIRE(parse_failure(safetensors_of(good, 24)).code == 0);
  REQUIRE(parse_failure(safetensors_of("{}")).code == 0);
  struct BadCase {
    const char* item;
    std::string bytes;
  };
  std::string deep = "{\"a\":";
  for (int i = 0; i < 70; ++i) deep += "[";
  const std::string two = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":)";
  const BadCase cases[] = {
      {"header length", ""},
      {"header length", "1234567"},
      {"header length", with_length(0, "")},
      {"header length", with_length(1, "{")},
      {"header length", with_length(3, "{}")},
      {"header length", with_length(100'000'001, "{}")},
      {"header length", with_length(~uint64_t{0}, "{}")},
      {"header length", with_length(~uint64_t{0} - 7, "{}")},
      {"header length", with_length(uint64_t{1} << 63, "{}")},
      {"header", safetensors_of(" {}")},
      {"header", safetensors_of("[]")},
      {"header", safetensors_of("{\"a\":1,}")},
      {"header", safetensors_of("{\"\xED\xA0\x80\":1}")},
      {"header", safetensors_of("{} x")},
      {"header", safetensors_of(deep)},
      {"twice", safetensors_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})")},
      {"twice", safetensors_of(R"({"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})")},
      {"__metadata__", safetensors_of(R"({"__metadata__":[]})")},
      {"__metadata__.k", safetensors_of(R"({"__metadata__":{"k":1}})")},
      {"a", safetensors_of(R"({"a":[]})")},
      {"dtype", safetensors_of(R"({"a":{"shape":[0],"data_offsets":[0,0]}})")},
      {"shape", safetensors_of(R"({"a":{"dtype":"U8","data_offsets":[0,0]}})")},
      {"data_offsets", safetensors_of(R"({"a":{"dtype":"U8","shape":[0]}})")},
      {"a.dtype", safetensors_of(entry("4", "[0]", "[0,0]"))},
      {"a.dtype", safetensors_of(entry("\"F31\"", "[0]", "[0,0]"))},
      {"a.shape", safetensors_of(entry("\"U8\"", "4", "[0,4]"), 4)},
      {"a.shape", safetensors_of(entry("\"U8\"", "[-4]", "[0,4]"), 4)},
      {"a.shape", safetensors_of(entry("\"U8\"", "[4.0]", "[0,4]"), 4)},
      {"a.shape", safetensors_of(entry("\"U8\"", "[\"4\"]", "[0,4]"), 4)},
      {"a.shape", safetensors_of(entry("\"U8\"", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4)},
      {"a.shape", safetensors_of(entry("\"U8\"", "[4294967296,4294967296]", "[0,0]"))},
      {"a.shape", safetensors_of(entry("\"F32\"", "[4611686018427387904]", "[0,0]"))},
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[4]", "[0]"), 4)},
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[4]", "[0,4,5]"), 4)},
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[4]", "[4,0]"), 4)},
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[5]", "[0,5]"), 4)},
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[4]", "[18446744073709551615,3]"), 4)},
      {"a", safetensors_of(entry("\"F32\"", "[2,3]", "[0,20]"), 20)},
      {"surprise", safetensors_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"surprise":1}})")},
      {"b.data_offsets", safetensors_of(two + "[5,9]}}", 9)},   // hole
      {"b.data_offsets", safetensors_of(two + "[3,7]}}", 7)},   // overlap
      {"b.data_offsets", safetensors_of(two + "[0,4]}}", 4)},   // alias
      {"a.data_offsets", safetensors_of(entry("\"U8\"", "[4]", "[1,5]"), 5)},
      {"data", safetensors_of(good, 25)},
  };
  for (const BadCase& c : cases) check_refused(parse_failure(c.bytes), "dir/x.safetensors", c.item);
}

TEST_CASE("malformed: config.json") {
  const std::string good = make_checkpoint({}).config_json;
  const auto parse = [](const std::string& text) { return failure_of([&] { parse_config(text, "dir/config.json"); }); };
  REQUIRE(parse(good).code == 0);
  const auto with = [&](const std::string& member) { return replaced(good, "{", "{" + member + ","); };
  struct BadCase {
    const char* item;
    std::string text;
  };
  const BadCase cases[] = {
      {"JSON", ""},
      {"JSON", "{"},
      {"JSON", "\xEF\xBB\xBF{}x"},
      {"configuration", "[]"},
      {"twice", with("\"n_layer\":2")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":0")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":-1")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":1.5")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":\"12\"")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":1000000000")},
      {"n_layer", replaced(good, "\"n_layer\":2", "\"n_layer\":9223372036854775808")},
      {"n_layer", replaced(good, "\"n_layer\":2,", "")},
      {"n_head", replaced(good, "\"n_head\":3", "\"n_head\":5")},
      {"n_head", replaced(good, "\"n_head\":3", "\"n_head\":96")},
      {"n_embd", replaced(good, "\"n_embd\":48", "\"n_embd\":300000")},
      {"n_embd / n_head", replaced(replaced(good, "\"n_embd\":48", "\"n_embd\":4096"), "\"n_head\":3", "\"n_head\":1")},
      {"n_inner", replaced(good, "\"n_inner\":80", "\"n_inner\":0")},
      {"n_positions", replaced(good, "\"n_positions\":80", "\"n_positions\":2000000")},
      {"n_positions", replaced(good, "\"n_positions\":80,", "")},
      {"vocab_size", replaced(good, "\"vocab_size\":3", "\"vocab_size\":null")},
      {"vocab_size", replaced(good, "\"vocab_size\":3", "\"vocab_size\":2000000000")},
      {"model_type", replaced(good, "\"gpt2\"", "\"bloom\"")},
      {"architectures", replaced(with("\"architectures\":[\"BertModel\"]"), "\"model_type\":\"gpt2\"", "\"model_typo\":\"gpt2\"")},
      {"activation_function", replaced(good, "gelu_new", "quick_gelu")},
      {"layer_norm_epsilon", with("\"layer_norm_epsilon\":0")},
      {"layer_norm_epsilon", with("\"layer_norm_epsilon\":-1e-5")},
      {"layer_norm_epsilon", with("\"layer_norm_epsilon\":1e308")},
      {"layer_norm_epsilon", with("\"layer_norm_epsilon\":\"1e-5\"")},
      {"scale_attn_weights", with("\"scale_attn_weights\":1")},
      {"add_cross_attention", with("\"add_cross_attention\":true")},
      {"quantization_config", with("\"quantization_config\":{\"bits\":4}")},
      {"pruned_heads", with("\"pruned_heads\":{\"0\":[1]}")},
      {"bos_token_id", with("\"bos_token_id\":1.5")},
      {"eos_token_id", with("\"eos_token_id\":[0,[1]]")},
      {"eos_token_id", with("\"eos_token_id\":\"x\"")},
  };
  for (const BadCase& c : cases) check_refused(parse(c.text), "dir/config.json", c.item);
}

TEST_CASE("malformed: tokenizer files") {
  struct BadCase {
    const char* file;
    const char* item;
    std::string text;
  };
  const std::string pre = R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false})";
  const auto tokenizer = [&](const std::string& rest) { return "{" + pre + "," + rest + "}"; };
  const std::string vocab = R"("vocab":{"a":0,"b":1,"ab":2})";
  const BadCase cases[] = {
      {"vocab.json", "JSON", "{\"a\":0"},
      {"vocab.json", "vocabulary", "[]"},
      {"vocab.json", "twice", R"({"a":0,"a":1})"},
      {"vocab.json", "token \"a\"", R"({"a":-1})"},
      {"vocab.json", "token \"a\"", R"({"a":1.5})"},
      {"vocab.json", "token \"a\"", R"({"a":4294967296})"},
      {"merges.txt", "line 2", "#version: 0.2\nab\n"},
      {"merges.txt", "line 1", "a b c\n"},
      {"merges.txt", "line 1", " a\n"},
      {"merges.txt", "line 1", "a \n"},
      {"merges.txt", "line 2", "a b\n\na b\n"},
      {"tokenizer.json", "model", "{" + pre + "}"},
      {"tokenizer.json", "model.type", tokenizer("\"model\":{\"type\":\"Unigram\"}")},
      {"tokenizer.json", "pre_tokenizer", "{\"model\":{\"type\":\"BPE\"}}"},
      {"tokenizer.json", "pre_tokenizer", R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+"}},"model":{}})"},
      {"tokenizer.json", "pre_tokenizer", R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":"x"},"model":{}})"},
      {"tokenizer.json", "normalizer", tokenizer("\"normalizer\":{\"type\":\"NFD\"},\"model\":{}")},
      {"tokenizer.json", "model.dropout", tokenizer("\"model\":{\"dropout\":0.1}")},
      {"tokenizer.json", "model.byte_fallback", tokenizer("\"model\":{\"byte_fallback\":true}")},
      {"tokenizer.json", "model.vocab", tokenizer("\"model\":{}")},
      {"tokenizer.json", "model.merges", tokenizer("\"model\":{" + vocab + "}")},
      {"tokenizer.json", "model.merges[0]", tokenizer("\"model\":{" + vocab + ",\"merges\":[[\"a\"]]}")},
      {"tokenizer.json", "model.merges[0]", tokenizer("\"model\":{" + vocab + ",\"merges\":[\"ab\"]}")},
      {"tokenizer.json", "added_tokens[0]", tokenizer("\"added_tokens\":[{}],\"model\":{" + vocab + ",\"merges\":[]}")},
      {"tokenizer.json", "added_tokens[0].lstrip",
       tokenizer("\"added_tokens\":[{\"id\":2,\"content\":\"x\",\"lstrip\":\"x\"}],\"model\":{" + vocab + ",\"merges\":[]}")},
  };
  for (const BadCase& c : cases) {
    const std::string directory = make_checkpoint({}).write();
    if (std::string_view(c.file) == "tokenizer.json") std::filesystem::remove(directory + "/merges.txt");
    write_file(directory + "/" + c.file, c.text);
    check_refused(failure_of([&] { build_tokenizer(read_vocabulary(directory), 3); }), c.file, c.item);
  }
  const std::string empty = temp_dir();
  check_refused(failure_of([&] { read_vocabulary(empty); }), empty, "tokenizer");
}

TEST_CASE("malformed: checkpoint directories") {
  struct BadCase {
    const char* item;
    std::function<void(CheckpointFixture&)> change;
  };
  const BadCase cases[] = {
      {"ln_f.bias", [](CheckpointFixture& f) { f.tensors.erase("ln_f.bias"); }},
      {"wte.weight", [](CheckpointFixture& f) { f.tensors.erase("wte.weight"); }},
      {"h.1.mlp.c_fc.bias", [](CheckpointFixture& f) { f.tensors.erase("h.1.mlp.c_fc.bias"); }},
      {"h.0.attn.c_attn.weight", [](CheckpointFixture& f) { f.shapes["h.0.attn.c_attn.weight"] = {144, 48}; }},
      {"wpe.weight", [](CheckpointFixture& f) { f.shapes["wpe.weight"] = {40, 96}; }},
      {"wte.weight", [](CheckpointFixture& f) { f.shapes["wte.weight"] = {48, 3}; }},
      {"lm_head.weight", [](CheckpointFixture& f) { f.config_json.insert(1, "\"tie_word_embeddings\":false,"); }},
      {"h.2.ln_1.bias",
       [](CheckpointFixture& f) {
         f.tensors["h.2.ln_1.bias"] = f.tensors["h.1.ln_1.bias"];
         f.shapes["h.2.ln_1.bias"] = {48};
       }},
      {"transformer.ln_f.bias",
       [](CheckpointFixture& f) {
         f.tensors["transformer.ln_f.bias"] = f.tensors["ln_f.bias"];
         f.shapes["transformer.ln_f.bias"] = {48};
       }},
  };
  for (const BadCase& c : cases) {
    CheckpointFixture fixture = make_checkpoint({});
    c.change(fixture);
    const std::string directory = fixture.write();
    MemorySink sink;
    check_refused(failure_of([&] { convert_checkpoint(directory, {}, sink, nullptr); }), directory, c.item);
    CHECK(sink.take().size() == 0);
  }
  const auto open = [](const std::string& directory) { return failure_of([&] { Checkpoint::open(directory); }); };
  std::string directory = temp_dir();
  check_refused(open(directory), directory, "model.safetensors");
  write_file(directory + "/pytorch_model.bin", "PK");
  check_refused(open(directory), directory, "safe_serialization=True");
  const auto index = [&](const std::string& text) {
    directory = temp_dir();
    write_file(directory + "/model.safetensors.index.json", text);
    write_file(directory + "/s.safetensors", safetensors_of("{}"));
    return open(directory);
  };
  check_refused(index("{}"), "model.safetensors.index.json", "weight_map");
  check_refused(index(R"({"weight_map":{"a":"../s.safetensors"}})"), "model.safetensors.index.json", "weight_map.a");
  check_refused(index(R"({"weight_map":{"a":1}})"), "model.safetensors.index.json", "weight_map.a");
  CHECK(index(R"({"weight_map":{"a":"s.safetensors"}})").code == 0);  // who needs the tensor will miss it
  check_refused(index(R"({"weight_map":{"a":"none.safetensors"}})"), "none.safetensors", "file");
}

TEST_CASE("malformed: the type of a tensor") {
  CheckpointFixture fixture = make_checkpoint({});
  const std::string directory = fixture.write();
  write_file(directory + "/model.safetensors", replaced(fixture.safetensors(), "\"F32\"", "\"I32\""));
  MemorySink sink;
  check_refused(failure_of([&] { convert_checkpoint(directory, {}, sink, nullptr); }), directory, "F32, F16, BF16 or F64");
}

namespace {

// A `.gpt2` file as text, to be changed; `sealed` makes the header's checksum right again.
struct ModelBytes {
  std::string bytes;

  ModelBytes() {
    const Model model = convert_fixture(make_checkpoint({}));
    const void* data = model.bytes().data();
    bytes.assign(static_cast<const char*>(data), model.bytes().size());
  }
  uint64_t header_end() const {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return 8 + length;
  }
  // Replaces text in the header; its length stays, taken from or given to the padding.
  ModelBytes& replace(std::string_view from, std::string_view to) {
    const uint64_t end = header_end();
    const size_t at = bytes.find(from);
    REQUIRE_MESSAGE((at != std::string::npos && at < end), from);
    bytes.replace(at, from.size(), to);
    if (to.size() > from.size()) bytes.erase(end, to.size() - from.size());
    if (to.size() < from.size()) bytes.insert(end - (from.size() - to.size()), from.size() - to.size(), ' ');
    return *this;
  }
  ModelBytes& seal() {
    const size_t at = bytes.find("header_xxh3\":\"") + 14;
    std::string header = bytes.substr(0, header_end());
    header.replace(at, 16, 16, '0');
    bytes.replace(at, 16, hex64(xxh3(std::as_bytes(std::span(header)))));
    return *this;
  }
  Failure open() const {
    AlignedBuffer<std::byte> memory(bytes.size());
    if (!bytes.empty()) std::memcpy(memory.data(), bytes.data(), bytes.size());
    return failure_of([&] {
      const Model model = Model::from_memory(std::move(memory), "m.gpt2");
      verify_checksums(model.file(), "m.gpt2");
    });
  }
};

}  // namespace

TEST_CASE("malformed: .gpt2 headers") {
  REQUIRE(ModelBytes().open().code == 0);
  REQUIRE(ModelBytes().replace("gpt2.source\":\"", "gpt2.source\":\"x").seal().open().code == 0);
  struct BadCase {
    const char* item;
    const char* from;
    const char* to;
  };
  const BadCase cases[] = {
      {"format", "gpt2 model", "gpt3 model"},
      {"format version", "\"gpt2.version\":\"1\"", "\"gpt2.version\":\"3\""},
      {"tokenizer.before_text", "\"gpt2.source\":\"", "\"tokenizer.before_text\":\"3\",\"gpt2.source\":\""},
      {"tokenizer.before_text", "\"gpt2.source\":\"", "\"tokenizer.before_text\":\"x\",\"gpt2.source\":\""},
      {"tokenizer.prefix_space", "\"gpt2.source\":\"", "\"tokenizer.prefix_space\":\"1\",\"gpt2.source\":\""},
      {"gpt2.version", "\"gpt2.version\"", "\"gpt2.varsion\""},
      {"gpt2.source", "\"gpt2.source\"", "\"gpt2.sauce\""},
      {"gpt2.tokenizer_xxh3", "\"gpt2.tokenizer_xxh3\":\"", "\"gpt2.tokenizer_xxh3\":\"z"},
      {"config.n_layer", "\"config.n_layer\":\"2\"", "\"config.n_layer\":\"two\""},
      {"config.n_layer", "\"config.n_layer\"", "\"config.n_Layer\""},
      {"config.n_layer", "\"config.n_layer\":\"2\"", "\"config.n_layer\":\"-2\""},
      {"n_layer", "\"config.n_layer\":\"2\"", "\"config.n_layer\":\"4000000000\""},
      {"config.n_head", "\"config.n_head\":\"3\"", "\"config.n_head\":\"0\""},
      {"n_head", "\"config.n_head\":\"3\"", "\"config.n_head\":\"7\""},
      {"config.activation", "gelu_tanh", "gelu"},
      {"config.tied_lm_head", "\"config.tied_lm_head\":\"true\"", "\"config.tied_lm_head\":\"yes\""},
      {"layer_norm_epsilon", "\"config.layer_norm_epsilon\":\"1e-05\"", "\"config.layer_norm_epsilon\":\"nan\""},
      {"config.eos_token_ids", "\"config.eos_token_ids\":\"\"", "\"config.eos_token_ids\":\"1,,2\""},
      {"eos_token_id", "\"config.eos_token_ids\":\"\"", "\"config.eos_token_ids\":\"3\""},
      {"lm_head.weight", "\"config.tied_lm_head\":\"true\"", "\"config.tied_lm_head\":\"false\""},
      {"h.2.ln_1.weight", "\"config.n_layer\":\"2\"", "\"config.n_layer\":\"3\""},
      {"wpe.weight", "\"config.n_ctx\":\"80\"", "\"config.n_ctx\":\"81\""},
      {"wpe.weight", "\"tensor.wpe.weight\":\"f32 rows 80x48", "\"tensor.wpe.weight\":\"f32 rows 40x96"},
      {"wpe.weight", "\"tensor.wpe.weight\":\"f32 rows", "\"tensor.wpe.weight\":\"f32 panels"},
      {"wte.weight", "\"tensor.wte.weight\":\"f32", "\"tensor.wte.weight\":\"f31"},
      {"ln_f.bias", "\"tensor.ln_f.bias\":\"f32", "\"tensor.ln_f.bias\":\"bf16"},
      {"wte.weight", "\"tensor.wte.weight\":\"f32", "\"tensor.wte.weight\":\"int8"},
      {"wte.weight", "\"tensor.wte.weight\"", "\"tensor.wte.height\""},
      {"wte.weight", "\"wte.weight\":{\"dtype\":\"U8\"", "\"wte.weight\":{\"dtype\":\"I8\""},
      {"wte.weight", "\"wte.weight\":{", "\"wte.Weight\":{"},
      {"tokenizer.bytes", "\"tensor.tokenizer.bytes\":\"u8 bytes 4x1", "\"tensor.tokenizer.bytes\":\"u8 bytes 99x1"},
      {"tokenizer.bytes", "\"tensor.tokenizer.bytes\":\"u8 bytes 4x1", "\"tensor.tokenizer.bytes\":\"u8 bytes 4x2"},
      {"tokenizer.offsets", "\"tensor.tokenizer.offsets\":\"u8 bytes 16x1", "\"tensor.tokenizer.offsets\":\"u8 bytes 15x1"},
      {"tokenizer.offsets", "\"tensor.tokenizer.offsets\":\"u8 bytes 16x1", "\"tensor.tokenizer.offsets\":\"u8 bytes 20x1"},
      {"tokenizer.merges", "\"tensor.tokenizer.merges\":\"u8 bytes 32x1", "\"tensor.tokenizer.merges\":\"u8 bytes 48x1"},
  };
  for (const BadCase& c : cases) check_refused(ModelBytes().replace(c.from, c.to).seal().open(), "m.gpt2", c.item);
  // A rule that a newer program wrote is refused by name; in a file of the first version the same key says nothing.
  const char *from = "\"gpt2.version\":\"1\"", *key = ",\"tokenizer.future\":\"x\"";
  check_refused(ModelBytes().replace(from, std::string("\"gpt2.version\":\"2\"") + key).seal().open(), "m.gpt2", "tokenizer.future");
  CHECK(ModelBytes().replace(from, from + std::string(key)).seal().open().code == 0);
  CHECK(ModelBytes().replace(from, "\"gpt2.version\":\"2\"").seal().open().code == 0);
  check_refused(ModelBytes().replace("\"config.n_layer\":\"2\"", "\"config.n_layer\":\"3\"").open(), "m.gpt2", "header checksum");
  check_refused(ModelBytes().replace("header_xxh3\":\"", "header_xxh3\":\"g").open(), "m.gpt2", "gpt2.header_xxh3");
}

TEST_CASE("malformed: every flipped byte of a .gpt2 file's header and every cut is refused; flipped data fails its checksum") {
  const ModelBytes good;
  const uint64_t end = good.header_end();
  for (uint64_t i = 0; i < end; ++i) {
    ModelBytes bad = good;
    bad.bytes[i] = static_cast<char>(bad.bytes[i] ^ (1 << i % 8));
    REQUIRE_MESSAGE(bad.open().code == 3, "byte " << i);
  }
  for (uint64_t i = end; i < good.bytes.size(); i += 997) {
    ModelBytes bad = good;
    bad.bytes[i] = static_cast<char>(bad.bytes[i] ^ 0x10);
    REQUIRE_MESSAGE(bad.open().code == 3, "byte " << i);
  }
  for (uint64_t cut = 0; cut < good.bytes.size(); cut += cut < 64 ? 1 : 509) {
    ModelBytes bad;
    bad.bytes = good.bytes.substr(0, cut);
    REQUIRE_MESSAGE(bad.open().code == 3, "cut at " << cut);
  }
}

TEST_CASE("malformed: paths that are no regular files are refused without blocking") {
  const std::string directory = temp_dir(), fifo = directory + "/fifo", loop = directory + "/loop", empty = directory + "/empty";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::filesystem::create_symlink(loop, loop);
  write_file(empty, "");
  const auto open = [](const std::string& path) { return failure_of([&] { Model::open(path); }); };
  check_refused(open(directory), directory, "a directory");
  check_refused(open(fifo), fifo, "a FIFO");
  check_refused(open("/dev/zero"), "/dev/zero", "a device");
  check_refused(open(loop), loop, "symbolic links");
  check_refused(open(empty), empty, "empty");
  check_refused(open(directory + "/none"), directory, "No such file");
  check_refused(failure_of([&] { read_text_file(source_path("models/books/vocab.json"), 1000); }), "vocab.json", "at most 1000");
}
