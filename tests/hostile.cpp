#include "tests/hostile.h"

#include <algorithm>
#include <cstring>

#include "src/base/hash.h"
#include "src/io/safetensors.h"
#include "tests/fixtures.h"

namespace gpt2::test {
namespace {

using Files = std::map<std::string, std::string>;
using Form = HostileCase::Form;

const CheckpointFixture& nano() {
  static const CheckpointFixture fixture = [] {
    FixtureShape shape;
    shape.n_layer = 1;
    shape.n_inner = 48;
    shape.n_ctx = 24;
    CheckpointFixture made = make_checkpoint(shape);
    made.config_json.insert(1, "\"bos_token_id\":0,\"eos_token_id\":2,\"layer_norm_epsilon\":1e-5,");
    return made;
  }();
  return fixture;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("no " + std::string(from) + " to replace");
  return text.replace(at, from.size(), to);
}

// A .gpt2 file with something else in its header. Room for what is added comes out of the padding, so that the data stays where it is.
std::string changed_header(const std::string& file, const std::string& from, const std::string& to) {
  const std::string header = header_of(file);
  std::string text = replaced(header, from, to);
  if (text.size() > header.size()) text.resize(std::max(header.size(), text.find_last_not_of(' ') + 1));
  text.resize(std::max(text.size(), header.size()), ' ');
  return sealed(with_header(file, text));
}

// The value of "key": in `text`, up to the next comma or brace outside brackets.
std::string member_text(const std::string& text, const std::string& key) {
  const size_t begin = text.find("\"" + key + "\":");
  size_t end = begin;
  int depth = 0;
  for (bool quoted = false; end < text.size(); ++end) {
    const char c = text[end];
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || (c == '}' && depth > 0)) --depth;
    else if ((c == ',' || c == '}') && depth == 0) break;
  }
  return text.substr(begin, end - begin);
}

class Cases {
 public:
  std::vector<HostileCase> take() {
    config_json();
    safetensors();
    tokenizer_files();
    model_file();
    draft_file();
    return std::move(cases_);
  }

 private:
  void directory(const std::string& name, const std::string& file, const std::string& content, const std::string& item) {
    Files files = base_;
    files[file] = content;
    cases_.push_back({name, Form::directory, std::move(files), item});
  }

  void config_json() {
    const std::string good = base_.at("config.json");
    const char* sizes[] = {"0", "-1", "1.5", "\"12\"", "1000000000", "9223372036854775808", "true", "[1]", "{}", "1e2", "4294967297"};
    for (const char* key : {"n_layer", "n_head", "n_embd", "n_inner", "n_positions", "vocab_size"}) {
      for (const char* value : sizes) {
        const std::string changed = replaced(good, member_text(good, key), "\"" + std::string(key) + "\":" + value);
        directory("config.json: " + std::string(key) + " " + value, "config.json", changed, key);
      }
      const std::string twice = replaced(good, "{", "{" + member_text(good, key) + ",");
      directory("config.json: " + std::string(key) + " twice", "config.json", twice, key);
    }
    for (const char* key : {"n_layer", "n_head", "n_embd", "n_positions", "vocab_size"}) {
      directory("config.json: no " + std::string(key), "config.json", replaced(good, member_text(good, key) + ",", ""), key);
      directory("config.json: null " + std::string(key), "config.json",
                replaced(good, member_text(good, key), "\"" + std::string(key) + "\":null"), key);
    }
    for (const char* id : {"true", "1.0", "\"0\"", "[0,null]", "{}"}) {
      for (const char* key : {"bos_token_id", "eos_token_id"}) {
        const std::string changed = replaced(good, member_text(good, key), "\"" + std::string(key) + "\":" + id);
        directory("config.json: " + std::string(key) + " " + id, "config.json", changed, key);
      }
    }
    for (const char* value : {"0", "-1", "1e308", "1e-60", "\"1e-5\"", "2", "[]", "1e999"}) {
      const std::string item = std::string_view(value) == "1e999" ? "JSON" : "layer_norm_epsilon";
      directory(std::string("config.json: epsilon ") + value, "config.json",
                replaced(good, member_text(good, "layer_norm_epsilon"), "\"layer_norm_epsilon\":" + std::string(value)), item);
    }
    std::string deep;
    for (int i = 0; i < 65; ++i) deep += "[";
    std::string very_deep(100000, '[');
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("\xEF\xBB\xBF\xEF\xBB\xBF{}x"), std::string("{\"\xFF\":1}"),
          std::string("{\"\\ud800\":1}"), std::string("{'a':1}"), std::string("{\"a\":01}"), std::string("{\"a\":NaN}"),
          std::string("{\"a\":1}x"), std::string(10000, '\0'), deep, very_deep, good.substr(0, good.size() / 2)}) {
      directory("config.json: broken text of " + std::to_string(text.size()), "config.json", text, "JSON");
    }
    for (const char* text : {"[]", "1", "null", "\"x\"", "true"}) directory(std::string("config.json: ") + text, "config.json", text, "object");
    for (const char* value : {"\"bloom\"", "1", "[]"}) {
      directory(std::string("config.json: model_type ") + value, "config.json",
                replaced(good, member_text(good, "model_type"), "\"model_type\":" + std::string(value)), "model_type");
    }
    for (const char* value : {"\"quick_gelu\"", "\"GELU\"", "\"\"", "7", "{}"}) {
      directory(std::string("config.json: activation ") + value, "config.json",
                replaced(good, member_text(good, "activation_function"), "\"activation_function\":" + std::string(value)), "activation_function");
    }
    Files missing = base_;
    missing.erase("config.json");
    cases_.push_back({"no config.json", Form::directory, missing, "No such file"});
  }

  void weights(const std::string& name, const std::string& content, const std::string& item) {
    directory("safetensors: " + name, "model.safetensors", content, item);
  }

  void safetensors() {
    const std::string file = base_.at("model.safetensors"), header = header_of(file);
    const auto change = [&](const std::string& from, const std::string& to) { return with_header(file, replaced(header, from, to)); };
    const SafetensorsFile parsed = parse_safetensors(std::as_bytes(std::span(file)), "nano");
    for (const TensorInfo& tensor : parsed.tensors) {
      const std::string entry = member_text(header, tensor.name), quoted = "\"" + tensor.name + "\"";
      const auto changed_entry = [&](const std::string& from, const std::string& to) {
        return with_header(file, replaced(header, entry, replaced(entry, from, to)));
      };
      const std::string first = std::to_string(tensor.shape[0]), offsets = member_text(entry, "data_offsets");
      const uint64_t begin = tensor.begin - parsed.data_begin, end = tensor.end - parsed.data_begin;
      const auto span = [](uint64_t a, uint64_t b) { return "\"data_offsets\":[" + std::to_string(a) + "," + std::to_string(b) + "]"; };
      weights(tensor.name + " renamed", changed_entry(quoted, "\"x." + tensor.name + "\""), tensor.name);
      weights(tensor.name + " of no known type", changed_entry("\"F32\"", "\"F31\""), tensor.name);
      weights(tensor.name + " of another type", changed_entry("\"F32\"", "\"I32\""), tensor.name);
      weights(tensor.name + " of half the type", changed_entry("\"F32\"", "\"F16\""), tensor.name);
      weights(tensor.name + " with one more row", changed_entry("[" + first, "[" + std::to_string(tensor.shape[0] + 1)), tensor.name);
      weights(tensor.name + " with another rank", changed_entry("[" + first, "[1," + first), tensor.name);
      weights(tensor.name + " of 2^62 rows", changed_entry("[" + first, "[4611686018427387904"), tensor.name);
      weights(tensor.name + " of -1 rows", changed_entry("[" + first, "[-1"), tensor.name);
      weights(tensor.name + " ending past the file", changed_entry(offsets, span(begin, uint64_t{1} << 40)), tensor.name);
      weights(tensor.name + " ending before it begins", changed_entry(offsets, span(end, begin)), tensor.name);
      weights(tensor.name + " with wrapping offsets", changed_entry(offsets, span(~uint64_t{0} - 3, end)), tensor.name);
      weights(tensor.name + " without offsets", changed_entry("," + offsets, ""), tensor.name);
      weights(tensor.name + " with an unknown key", changed_entry("{\"dtype\"", "{\"x\":1,\"dtype\""), tensor.name);
      weights(tensor.name + " twice", with_header(file, replaced(header, entry, entry + "," + entry)), tensor.name);
      weights("cut where " + tensor.name + " begins", file.substr(0, tensor.begin), "");
      weights("cut after the first byte of " + tensor.name, file.substr(0, tensor.begin + 1), "");
    }
    for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{7}, header.size() - 1, header.size() + 1, file.size() - 8, file.size() - 7,
                                  file.size(), uint64_t{100'000'001}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 53,
                                  uint64_t{1} << 62, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
      std::string bad = file;
      std::memcpy(bad.data(), &length, 8);
      weights("header length " + std::to_string(length), bad, length + 1 == header.size() ? "data" : "header");
    }
    weights("trailing bytes", file + "PK\x05\x06", "data");
    weights("__metadata__ as array", change("\"__metadata__\":{\"format\":\"pt\"}", "\"__metadata__\":[\"format\",\"pt\"]"), "__metadata__");
    weights("a number in __metadata__", change("\"format\":\"pt\"", "\"format\":1"), "__metadata__.format");
    weights("a name of control characters", with_header(file, replaced(header, "\"ln_f.bias\"", "\"\\u001b[31m\\u0000\"")), "ln_f.bias");
    weights("an empty name", with_header(file, replaced(header, "\"ln_f.bias\"", "\"\"")), "ln_f.bias");
    weights("nothing but zeros", std::string(65536, '\0'), "header");
    weights("nothing", "", "empty");
  }

  void tokenizer_files() {
    const auto vocab = [&](const std::string& text, const std::string& item) { directory("vocab.json: " + text.substr(0, 40), "vocab.json", text, item); };
    for (const char* id : {"-1", "1.5", "\"1\"", "null", "[]", "4294967296", "9223372036854775808"}) {
      vocab("{\"a\":0,\"b\":1,\"ab\":" + std::string(id) + "}", "ab");
    }
    for (const char* text : {"", "{", "{\"a\":0", "{\"\xFF\":0}", "{\"\\udc00\":0}"}) vocab(text, "JSON");
    for (const char* text : {"[]", "1", "null"}) vocab(text, "object");
    vocab(R"({"a":0,"a":1,"ab":2})", "twice");
    vocab(R"({"a":0,"b":0,"ab":2})", "b");
    vocab(R"({"a":0,"b":1,"":2})", "empty");
    vocab(R"({"a":0,"b":1,"a b":2})", "merge");
    for (const auto& [text, name] : std::map<std::string, std::string>{{std::string("\xFF\xFE{\0}\0", 6), "UTF-16"},
                                                                        {" <!DOCTYPE html>", "web page"},
                                                                        {"version https://git-lfs.github.com/spec/v1\n", "LFS"}}) {
      vocab(text, name);
      directory("config.json: " + name, "config.json", text, name);
    }
    vocab(R"({"a":0,"b":1})", "merge");
    vocab(R"({"a":0,"ab":2})", "merge");
    const auto merges = [&](const std::string& text, const std::string& item) { directory("merges.txt: " + text.substr(0, 40), "merges.txt", text, item); };
    for (const char* text : {"ab\n", "a b c\n", " a b\n", "a  b\n", "a \n", " a\n", "a\tb\n", "\na b\n", std::string_view("a\0b\n", 4).data()}) merges(text, "line 1");
    for (const char* text : {"a x\n", "x b\n", "b a\n", "a a\n"}) merges(text, "merge 1");
    merges("#version: 0.2\na b\na b\n", "merge 2");
    merges("#version: 0.2\n#version: 0.2\na b\n", "merge 1");

    const Files good_files = nano_tokenizer_json();
    const std::string good = good_files.at("tokenizer.json");
    const auto tokenizer = [&](const std::string& from, const std::string& to, const std::string& item) {
      Files files = good_files;
      files["tokenizer.json"] = from.empty() ? to : replaced(good, from, to);
      cases_.push_back({"tokenizer.json: " + to.substr(0, 60), Form::directory, files, item});
    };
    for (const char* text : {"", "{", "\xFF"}) tokenizer("", text, "JSON");
    for (const char* text : {"[]", "{}", "7"}) tokenizer("", text, "model");
    for (const char* type : {"\"Unigram\"", "\"WordPiece\"", "1", "null"}) tokenizer("\"BPE\"", type, "model.type");
    for (const char* step : {"null", "{}", "[]", R"({"type":"Whitespace"})", R"({"type":"ByteLevel","add_prefix_space":1})",
                             R"({"type":"ByteLevel","use_regex":false})", R"({"type":"Split","pattern":{"Regex":"(a+)+$"}})",
                             R"({"type":"Sequence","pretokenizers":[]})"}) {
      tokenizer(R"({"type":"ByteLevel","add_prefix_space":false})", step, "pre_tokenizer");
    }
    for (const char* value : {"{\"type\":\"NFKC\"}", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]})", "true", "1"}) tokenizer("\"normalizer\":null", "\"normalizer\":" + std::string(value), "normalizer");
    for (const char* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"}) {
      tokenizer("\"type\":\"BPE\"", "\"type\":\"BPE\",\"" + std::string(key) + "\":\"x\"", "model." + std::string(key));
    }
    for (const char* merge : {"[\"a\"]", "[\"ab\"]", "[[\"a\"]]", "[[\"a\",\"\"]]", "[[\"a\",\"b\",\"c\"]]", "[1]", "[null]", "[\"a b\",\"a b\"]", "[\"a c\"]", "7", "{}"}) {
      tokenizer("[\"a b\"]", merge, "merge");
    }
    for (const char* token : {"{}", "1", "{\"id\":0}", R"({"id":-1,"content":"x"})", R"({"id":"0","content":"x"})",
                              R"({"id":0,"content":1})", R"({"id":0,"content":""})",
                              R"({"id":2,"content":"ab","lstrip":1})", R"({"id":2,"content":"ab","rstrip":"no"})",
                              R"({"id":2,"content":"ab","single_word":[]})", R"({"id":2,"content":"ab","special":0})"}) {
      tokenizer("\"added_tokens\":[]", "\"added_tokens\":[" + std::string(token) + "]", "");
    }
    Files none = base_;
    none.erase("merges.txt");
    cases_.push_back({"no tokenizer", Form::directory, none, "tokenizer"});
  }

  void model(const std::string& name, const std::string& bytes, const std::string& item) {
    cases_.push_back({".gpt2: " + name, Form::model_file, {{"", bytes}}, item});
  }

  void model_file() {
    const std::string file = nano_model_file(), header = header_of(file);
    const size_t padding = header.size() - header.find_last_not_of(' ') - 1;
    const auto change = [&](const std::string& from, const std::string& to) { return changed_header(file, from, to); };
    const SafetensorsFile parsed = parse_safetensors(std::as_bytes(std::span(file)), "nano");
    for (const TensorInfo& tensor : parsed.tensors) {
      const std::string key = "\"tensor." + tensor.name + "\":\"", quoted = "\"" + tensor.name + "\":{";
      const std::string text = *parsed.metadata_value("tensor." + tensor.name);
      const size_t type_end = text.find(' '), size_begin = text.find(' ', type_end + 1) + 1, size_end = text.find(' ', size_begin);
      const auto described = [&](const std::string& other) { return change(key + text + "\"", key + other + "\""); };
      model(tensor.name + " renamed", change(quoted, "\"x" + tensor.name.substr(1) + "\":{"), tensor.name);
      model(tensor.name + " not described", change(key, "\"tensor.x" + tensor.name.substr(1) + "\":\""), tensor.name);
      model(tensor.name + " of no known type", described("f99" + text.substr(type_end)), tensor.name);
      model(tensor.name + " in another arrangement", described(text.substr(0, type_end + 1) + "columns" + text.substr(size_begin - 1)), tensor.name);
      model(tensor.name + " of another size", described(text.substr(0, size_begin) + "7x7" + text.substr(size_end)), tensor.name);
      model(tensor.name + " of no size", described(text.substr(0, size_begin) + "x" + text.substr(size_end)), tensor.name);
      model(tensor.name + " without checksum", described(text.substr(0, size_end)), tensor.name);
      model(tensor.name + " with a short checksum", described(text.substr(0, text.size() - 1)), tensor.name);
      model(tensor.name + " with words after it", described(text + " more"), tensor.name);
      const std::string entry = member_text(header.substr(header.find(quoted)), tensor.name);
      model(tensor.name + " as I8", change(entry, replaced(entry, "\"U8\"", "\"I8\"")), tensor.name);
      if (tensor.begin < file.size()) model("cut where " + tensor.name + " begins", file.substr(0, tensor.begin), "");
    }
    for (const char* key : {"n_layer", "n_head", "n_embd", "n_inner", "n_ctx", "n_vocab"}) {
      const std::string good = "\"config." + std::string(key) + "\":\"" + *parsed.metadata_value("config." + std::string(key)) + "\"";
      for (const char* value : {"0", "-1", "", " 1", "1 ", "1.5", "0x10", "4294967295", "4294967296", "18446744073709551616", "7", "1000000"}) {
        model("config." + std::string(key) + " \"" + value + "\"", change(good, "\"config." + std::string(key) + "\":\"" + value + "\""), "");
      }
      model("no config." + std::string(key), change("\"config." + std::string(key) + "\"", "\"Config." + std::string(key) + "\""), key);
    }
    for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"layer_norm_epsilon", "0"}, {"layer_norm_epsilon", "-1"},
         {"layer_norm_epsilon", "inf"}, {"layer_norm_epsilon", "nan"}, {"layer_norm_epsilon", "x"}, {"activation", "swish"}, {"activation", ""},
         {"tied_lm_head", "1"}, {"scale_attn_weights", ""}, {"scale_attn_by_inverse_layer_idx", "no"}, {"bos_token_id", "3"}, {"bos_token_id", "-2"},
         {"bos_token_id", "x"}, {"eos_token_ids", "3"}, {"eos_token_ids", "0,,1"}, {"eos_token_ids", "0,9"}, {"eos_token_ids", "-1"}}) {
      const std::string good = "\"config." + key + "\":\"" + *parsed.metadata_value("config." + key) + "\"";
      model("config." + key + " \"" + value + "\"", change(good, "\"config." + key + "\":\"" + value + "\""), key.substr(0, 12));
    }
    for (const char* version : {"0", "3", "", "01", "1.0", "4294967297"}) {
      model(std::string("version ") + version, change("\"gpt2.version\":\"1\"", "\"gpt2.version\":\"" + std::string(version) + "\""), "version");
    }
    model("another format", change("gpt2 model", "gpt9 model"), "format");
    model("a checkpoint's safetensors", base_.at("model.safetensors"), "format");
    model("header checksum of another file", replaced(file, "gpt2.header_xxh3\":\"", "gpt2.header_xxh3\":\"0").erase(8 + header.size(), 1), "header");
    model("header checksum in capitals", change("header_xxh3", "HEADER_XXH3"), "header_xxh3");
    model("no tokenizer checksum", change("gpt2.tokenizer_xxh3", "gpt2.tokenizer_yxh3"), "tokenizer_xxh3");
    model("trailing bytes", file + std::string(64, '\0'), "data");
    model("a zero-filled file", std::string(file.size(), '\0'), "header");
    model("one byte", "{", "header");
    model("data that is not on a boundary", sealed(with_header(file, header.substr(0, header.size() - std::min<size_t>(padding, 1)))), "");
    // The program reads it as one and names its version; a model file by itself names the format.
    model("a GGUF file", "GGUF" + std::string(100, '\0'), "expected");
    model("a zip file", "PK\x03\x04" + std::string(100, '\0'), "a zip archive");
  }

  void draft_file() {
    const std::string file = nano_draft_file(), key = "\"config.n_draft_vocab\":\"2\"", ids = "\"tensor.draft_head.ids\":\"u8 bytes 8x1";
    for (const char* value : {"0", "-1", "", " 2", "2x", "4294967296", "4", "4294967295"}) {
      model(std::string("n_draft_vocab \"") + value + "\"", changed_header(file, key, replaced(key, "2", value)), "n_draft_vocab");
    }
    for (const char* value : {"1", "3"}) {
      model(std::string("n_draft_vocab ") + value + " of a head of 2", changed_header(file, key, replaced(key, "2", value)), "draft_head.weight");
    }
    for (const char* size : {"4x1", "7x1", "0x1", "12x1", "8x2", "64x1", "65x1"}) {
      model(std::string("draft ids of ") + size, changed_header(file, ids, replaced(ids, "8x1", size)), "draft_head.ids");
    }
    model("draft ids renamed", changed_header(file, "\"draft_head.ids\":{", "\"draft_head.idx\":{"), "draft_head.ids");
    model("draft head renamed", changed_header(file, "\"draft_head.weight\":{", "\"draft_head.height\":{"), "draft_head.weight");
    model("a draft key without a draft", changed_header(nano_model_file(), "\"config.n_ctx\"", key + ",\"config.n_ctx\""), "draft_head.weight");
    const SafetensorsFile parsed = parse_safetensors(std::as_bytes(std::span(file)), "nano");
    const auto table = std::find_if(parsed.tensors.begin(), parsed.tensors.end(), [](const auto& t) { return t.name == "draft_head.ids"; });
    for (const auto& [first, second] : {std::pair(2u, 1u), std::pair(1u, 1u), std::pair(1u, 3u), std::pair(3u, 4u), std::pair(~0u, 0u), std::pair(0u, ~0u)}) {
      std::string bad = file;
      std::memcpy(bad.data() + table->begin, &first, 4);
      std::memcpy(bad.data() + table->begin + 4, &second, 4);
      model("draft ids " + std::to_string(first) + ", " + std::to_string(second), bad, "draft_head.ids");
    }
  }

  std::vector<HostileCase> cases_;
  const Files base_ = nano_directory();
};

}  // namespace

std::map<std::string, std::string> nano_directory() {
  return {{"config.json", nano().config_json},
          {"vocab.json", nano().vocab_json},
          {"merges.txt", nano().merges_txt},
          {"model.safetensors", nano().safetensors()}};
}

std::map<std::string, std::string> nano_tokenizer_json() {
  Files files = nano_directory();
  files.erase("vocab.json");
  files.erase("merges.txt");
  files["tokenizer.json"] = R"({"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
                            R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
  return files;
}

std::string nano_model_file() {
  const Model model = convert_fixture(nano());
  const void* data = model.bytes().data();
  return {static_cast<const char*>(data), model.bytes().size()};
}

std::string nano_draft_file() {
  ConvertOptions options;
  options.draft_vocab = 2;
  options.draft_text = "bbb";
  const Model model = convert_fixture(nano(), options);
  const void* data = model.bytes().data();
  return {static_cast<const char*>(data), model.bytes().size()};
}

std::string header_of(const std::string& file) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  return file.substr(8, length);
}

std::string with_header(const std::string& file, const std::string& header) {
  const uint64_t length = header.size();
  std::string changed(8, '\0');
  std::memcpy(changed.data(), &length, 8);
  return changed + header + file.substr(8 + header_of(file).size());
}

std::string sealed(std::string file) {
  constexpr std::string_view kKey = "header_xxh3\":\"";
  std::string header = file.substr(0, 8 + header_of(file).size());
  const size_t at = header.find(kKey) + kKey.size();
  if (at < kKey.size() || at + 16 > header.size()) return file;
  header.replace(at, 16, 16, '0');
  return file.replace(at, 16, hex64(xxh3(std::as_bytes(std::span(header)))));
}

std::vector<char> byte_mutations(char byte) {
  std::vector<char> mutations;
  for (int bit = 0; bit < 8; ++bit) mutations.push_back(static_cast<char>(byte ^ (1 << bit)));
  for (const char value : {'\x00', '\x7F', '\x80', '\xFF', '\x22'}) mutations.push_back(value);
  return mutations;
}

std::vector<HostileCase> hostile_cases() { return Cases().take(); }

}  // namespace gpt2::test
