// The fuzz targets, each with what must hold for any input, its seeds and its words; one after the other, and so long because there are
// twelve of them. Those that run a model are in model_targets.cpp.
#include "tests/fuzz/targets.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "src/base/aligned_buffer.h"
#include "src/base/error.h"
#include "src/engine/sampler.h"
#include "src/engine/stop.h"
#include "src/convert/config_json.h"
#include "src/convert/gguf_blocks.h"
#include "src/convert/sentencepiece.h"
#include "src/convert/tokenizer_files.h"
#include "src/io/gguf.h"
#include "src/io/json.h"
#include "src/io/protobuf.h"
#include "src/io/safetensors.h"
#include "src/model/model.h"
#include "src/text/pieces.h"
#include "src/text/tokenizer_builder.h"
#include "src/text/utf8.h"
#include "tests/fixtures.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/measure_targets.h"
#include "tests/fuzz/model_targets.h"
#include "tests/fuzz/serve_targets.h"
#include "tests/gguf_files.h"
#include "tests/hostile.h"
#include "tests/support.h"
#include "tools/escapes.h"
#include "tools/record.h"
#include "tools/token_ids.h"

namespace gpt2::fuzz {
namespace {

using namespace gpt2::test;

std::vector<std::string> no_words() { return {}; }

// -- safetensors: what is accepted tiles the file exactly --

void run_safetensors(std::string_view input) {
  accepts([&] {
    const auto bytes = std::as_bytes(std::span(input));
    const SafetensorsFile file = parse_safetensors(bytes, "fuzz");
    uint64_t at = file.data_begin;
    for (const TensorInfo& tensor : file.tensors) {
      require(tensor.begin == at && tensor.end >= tensor.begin && tensor.end <= input.size(), "a tensor outside its place");
      uint64_t size = safetensors_item_size(tensor.dtype);
      for (const uint64_t d : tensor.shape) require(!__builtin_mul_overflow(size, d, &size), "a shape that overflows");
      require(size == tensor.end - tensor.begin, "a shape of another size");
      at = tensor.end;
    }
    require(at == input.size(), "bytes after the data");
  }, {ExitCode::model});
}

std::vector<std::string> safetensors_seeds() {
  const std::string file = nano_directory().at("model.safetensors");
  std::string small(8, '\0');
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"U8","shape":[0],"data_offsets":[24,24]}})";
  small[0] = static_cast<char>(header.size());
  return {small + header + std::string(24, '\1'), with_header(file, header_of(file)).substr(0, 4096)};
}

std::vector<std::string> safetensors_words() {
  return {"\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "\"U8\"", "\"BF16\"", "[0,0]", "[]", "{}", "18446744073709551615",
          "9223372036854775808", "-1", "1e9", "4294967296", "\"__metadata__\":{", "\\u0000", "\\ud800", ",", "}", "]"};
}

// -- GGUF: each tensor has bytes of its own in the file, each key gives its value or says its kind, blocks decode --

void ask_every_kind(const GgufFile& file, std::string_view key) {
  accepts([&] { file.integer(key); }, {ExitCode::model});
  accepts([&] { file.number(key); }, {ExitCode::model});
  accepts([&] { file.boolean(key); }, {ExitCode::model});
  accepts([&] { file.string(key); }, {ExitCode::model});
  accepts([&] { file.strings(key); }, {ExitCode::model});
  accepts([&] { file.integers(key); }, {ExitCode::model});
  accepts([&] { file.floats(key); }, {ExitCode::model});
}

void decode_first_block(const GgufFile& file, const GgufTensor& tensor) {
  const GgufTypeInfo& type = gguf_type_info(tensor.type);
  require(tensor.bytes % type.bytes == 0 && tensor.bytes > 0, "a part of a block");
  if (!can_decode(tensor.type)) return;
  std::vector<float> values(type.weights);
  decode_blocks(tensor.type, file.data(tensor).first(type.bytes), values);
  if (!has_scaled_codes(tensor.type)) return;
  const ScaledCodes codes = scaled_codes(tensor.type, file.data(tensor).data());
  const bool any = tensor.type == GgufType::q8_0, wide = tensor.type == GgufType::iq4_nl;
  const int low = any ? -128 : wide ? -127 : -16, high = any ? 127 : wide ? 113 : 15;
  for (const int8_t code : codes.codes) require(code >= low && code <= high, "a code out of its range");
}

void run_gguf(std::string_view input) {
  accepts([&] {
    const GgufFile file = GgufFile::parse(std::as_bytes(std::span(input)), "fuzz");
    for (const GgufEntry& entry : file.entries()) {
      require(file.find(entry.key) == &entry.value, "another value under a key");
      ask_every_kind(file, entry.key);
      require(!describe(entry.value).empty(), "a value without a kind");
    }
    uint64_t total = 0;
    for (const GgufTensor& tensor : file.tensors()) {
      require(file.find_tensor(tensor.name) == &tensor, "another tensor under a name");
      require(tensor.begin >= file.data_begin() && tensor.begin % file.alignment() == 0, "a tensor outside its place");
      total += file.data(tensor).size();
      decode_first_block(file, tensor);
    }
    require(file.tensors().empty() || total <= input.size() - file.data_begin(), "bytes of two tensors");
  }, {ExitCode::model});
}

std::vector<std::string> gguf_seeds() {
  GgufPieces older = small_gguf();
  older.version = 2;
  GgufPieces wide;
  wide.alignment = 64;
  wide.entry("general.alignment", GgufKind::u32, le32(64));
  wide.tensor("a", {256}, GgufType::q4_k, std::string(144, '\x5A'));
  wide.tensor("b", {32, 2}, GgufType::q4_0, std::string(36, '\x3C'));
  return {small_gguf().file(), older.file(), wide.file(), read_file(source_path("tests/data/blocks.gguf"))};
}

std::vector<std::string> gguf_words() {
  return {"GGUF", "general.alignment", le32(8), le32(9), le32(32), le32(39), le64(0), le64(1), le64(~uint64_t{0}), le64(uint64_t{1} << 61),
          le64(uint64_t{1} << 32), le64(uint64_t{1} << 63)};
}

// -- JSON: what is accepted is printed and read again --

void run_json(std::string_view input) {
  accepts([&] {
    const Json json = parse_json(input, "fuzz");
    const std::string quoted = json_quote(json.string);
    const Json again = parse_json(quoted, "fuzz");
    require(again.kind == Json::Kind::string, "a quoted string is no string");
    if (json.kind == Json::Kind::string) require(again.string == json.string, "a string changed on its way");
    json.describe();
  }, {ExitCode::model});
}

std::vector<std::string> json_seeds() {
  return {R"({"a":[1,-2,3.5e7,true,false,null,"x\u00e9\n",{"b":{}}],"c":18446744073709551615})", R"("\ud83d\ude00")", "[[[[]]]]"};
}

std::vector<std::string> json_words() {
  return {"\\u0000", "\\ud800", "\\udc00", "1e999", "-0", "\"\":", "[[[[[[[[[[[[[[[[", "null", "true", "\xEF\xBB\xBF", "9223372036854775808"};
}

// -- config.json --

void run_config(std::string_view input) {
  accepts([&] {
    const ConfigFile file = parse_config(input, "config.json");
    const Config& c = file.config;
    require(c.n_layer > 0 && c.n_kv_head > 0 && c.n_head % c.n_kv_head == 0 && c.d_head > 0, "a configuration that does not fit");
    require(c.n_vocab > 0 && c.n_ctx > 0 && c.n_inner > 0 && c.layer_norm_epsilon > 0, "a size of nothing");
    for (const int32_t id : c.eos_token_ids) require(id >= 0 && static_cast<uint32_t>(id) < c.n_vocab, "an end that is no token");
    const bool turns = c.positions == Positions::rotary;
    require(turns == (file.architecture != nullptr && !file.frequencies.empty()), "frequencies without positions that turn");
    require(!turns || (file.frequencies.size() == c.d_pad() / 2 && c.rotary_dims <= c.d_head && c.rotary_dims % 2 == 0), "pairs that do not fit");
    for (const float frequency : file.frequencies) require(std::isfinite(frequency), "a frequency that is no number");
    require(std::isfinite(c.embedding_scale) && (c.windows.empty() || c.windows.size() == c.n_layer), "a scale or a window that does not fit");
  }, {ExitCode::model});
}

// GPT-2's, and one of every architecture.
std::vector<std::string> config_seeds() {
  std::vector<std::string> seeds = {nano_directory().at("config.json")};
  const Json family = parse_json(read_file(source_path("tests/data/family/family.json")), "family.json");
  for (const auto& [name, golden, place] : family.find("cases")->object) seeds.push_back(golden.find("config")->string);
  return seeds;
}

std::vector<std::string> config_words() {
  return {"\"n_layer\":", "\"n_head\":", "\"n_embd\":", "\"n_inner\":", "\"n_ctx\":", "\"eos_token_id\":", "\"bos_token_id\":", "\"layer_norm_epsilon\":",
          "\"activation_function\":", "\"gelu\"", "\"relu\"", "null", "-1", "0", "2147483648", "1e-300", "[0,1]", "\"quantization_config\":",
          "\"model_type\":", "\"llama\"", "\"gemma\"", "\"gpt_neox\"", "\"phi\"", "\"opt\"", "\"num_key_value_heads\":", "\"head_dim\":",
          "\"rope_theta\":", "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":", "\"rope_parameters\":{", "\"partial_rotary_factor\":",
          "\"sliding_window\":", "\"attention_types\":", "1e-310", "1e308"};
}

// -- tokenizer files: the first byte chooses the file, the rest is its content --

std::string bundle_directory() {
  static const std::string directory = [] {
    std::string path = (std::filesystem::temp_directory_path() / "gpt2-fuzz-XXXXXX").string();
    require(mkdtemp(path.data()) != nullptr, "no temporary folder");
    return path;
  }();
  return directory;
}

void put_file(const std::string& name, std::string_view content) {
  std::FILE* file = std::fopen((bundle_directory() + "/" + name).c_str(), "wb");
  require(file != nullptr, "cannot write");
  std::fwrite(content.data(), 1, content.size(), file);
  std::fclose(file);
}

void run_tokenizer_files(std::string_view input) {
  if (input.empty()) return;
  const int which = input[0] & 3;
  const std::string_view content = input.substr(1);
  std::filesystem::remove(bundle_directory() + "/vocab.json");
  std::filesystem::remove(bundle_directory() + "/tokenizer.json");
  if (which == 0) {
    put_file("tokenizer.json", content);
  } else {
    put_file("vocab.json", which == 1 ? content : R"({"a":0,"b":1,"ab":2,"c":3})");
    put_file("merges.txt", which == 2 ? content : "#version: 0.2\na b\n");
    if (which == 3) put_file("added_tokens.json", content);
  }
  accepts([&] {
    const TokenizerData data = build_tokenizer(read_vocabulary(bundle_directory()), 1000);
    const Tokenizer tokenizer(data.tables(), "fuzz");
    std::vector<TokenId> ids;
    const std::string text = "abab cab\n<|endoftext|>\xC3\xA9";
    if (accepts([&] { ids = tokenizer.encode(text, Specials::parse); }, {ExitCode::input})) {
      require(tokenizer.decode(ids) == text, "decode(encode(x)) is not x");
      for (const TokenId id : ids) require(id >= 0 && id < 1000, "an id past the vocabulary");
    }
  }, {ExitCode::model});
  std::filesystem::remove(bundle_directory() + "/merges.txt");
  std::filesystem::remove(bundle_directory() + "/added_tokens.json");
}

std::vector<std::string> tokenizer_file_seeds() {
  std::string bytes = "{";
  for (int i = 0; i < 256; ++i) {
    bytes += (i > 0 ? "," : "") + json_quote(to_byte_alphabet(std::string(1, static_cast<char>(i)))) + ":" + std::to_string(i);
  }
  return {std::string(1, '\0') + nano_tokenizer_json().at("tokenizer.json"), "\1" + bytes + ",\"ab\":256}", "\2#version: 0.2\na b\n",
          "\3{\"<|x|>\":5}"};
}

std::vector<std::string> tokenizer_file_words() {
  return {"\"added_tokens\":", "\"model\":", "\"vocab\":", "\"merges\":", "\"content\":", "\"id\":", "[\"a\",\"b\"]", "\"a b\"", "\n", " ", "\"ab\":2",
          "\xC4\xA0", "\xE2\x82\xAC", "\"special\":false", "999", "1000", "-1"};
}

// -- protocol buffers: every field lies in its message --

void read_fields(std::string_view message, std::string_view file, size_t offset, int depth) {
  ProtoReader reader(message, "fuzz", offset);
  for (ProtoField field; reader.next(field);) {
    require(field.number > 0 && field.offset >= offset && field.offset <= offset + message.size(), "a field outside its message");
    if (field.kind != ProtoField::Kind::bytes) continue;
    require(field.bytes == file.substr(field.offset, field.bytes.size()), "other bytes than those at the offset");
    if (depth > 0) accepts([&] { read_fields(field.bytes, file, field.offset, depth - 1); }, {ExitCode::model});
  }
}

void run_protobuf(std::string_view input) {
  accepts([&] { read_fields(input, input, 0, 1); }, {ExitCode::model});
}

// -- SentencePiece's models: what is accepted gives ids of its own, and with pieces for all bytes and the space every text comes back --

bool has_everything(const SentencePieceModel& model) {
  const auto has = [&](auto is) { return std::any_of(model.pieces.begin(), model.pieces.end(), is); };
  return has([](const Piece& piece) { return piece.type == PieceType::byte; }) &&
         has([](const Piece& piece) { return piece.type == PieceType::normal && piece.text == "\xE2\x96\x81"; });
}

void run_sentencepiece(std::string_view input) {
  accepts([&] {
    const SentencePieceModel model = parse_sentencepiece(input, "fuzz");
    const PrefixSpace prefix = model.add_dummy_prefix ? PrefixSpace::text : PrefixSpace::none;
    const TokenizerData data = build_tokenizer(vocabulary_of_pieces(model.pieces, prefix, "fuzz"), 1 << 16);
    const Tokenizer tokenizer(data.tables(), "fuzz");
    for (const std::string_view text : {std::string_view("the  the\n<s>\xC3\xA9\xF0\x9F\x98\x80\xFF"), input.substr(0, 64)}) {
      std::vector<TokenId> ids;
      if (!accepts([&] { ids = tokenizer.encode(text); }, {ExitCode::input})) continue;
      for (const TokenId id : ids) require(id >= 0 && static_cast<size_t>(id) < model.pieces.size(), "an id of no piece");
      TokenText pieces(tokenizer);
      std::string joined;
      for (const TokenId id : ids) joined += pieces.next(id);
      require(joined == tokenizer.decode(ids), "one by one the tokens give another text");
      const bool has_mark = text.find("\xE2\x96\x81") != text.npos;
      require(has_mark || !has_everything(model) || joined == text, "decode(encode(x)) is not x");
    }
  }, {ExitCode::model});
}

std::vector<std::string> sentencepiece_seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"gemma", "llama", "plain", "unused"}) {
    seeds.push_back(read_file(source_path("tests/data/sentencepiece") + "/" + name + ".model"));
  }
  return seeds;
}

std::vector<std::string> sentencepiece_words() {
  return {"<s>", "<0x0A>", "\xE2\x96\x81", "\x0A\x0A", "\x15", "\x18\x02", "\x18\x04", "\x18\x06", le32(0x7FC00000), le32(0xFF800000), "\x12\x02\x18\x02",
          "\x1A\x02\x18\x01", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"};
}

// -- the tokenizer: any bytes survive the way there and back --

void run_tokenizer(std::string_view input) {
  static const TokenizerData data = [] {
    Vocabulary vocabulary;
    vocabulary.tokens_file = vocabulary.merges_file = "fuzz";
    for (uint32_t i = 0; i < 256; ++i) vocabulary.tokens.emplace_back(to_byte_alphabet(std::string(1, static_cast<char>(i))), i);
    uint32_t next = 256;
    for (const char* pair : {"a b", "b a", "ab a", "\xC4\xA0 a", "t h", "th e", "\xC4\xA0 the", "e e", "ee ee", "1 2", "' s"}) {
      const std::string text = pair;
      const size_t space = text.find(' ');
      vocabulary.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      vocabulary.tokens.emplace_back(text.substr(0, space) + text.substr(space + 1), next++);
    }
    vocabulary.added.push_back({"<|endoftext|>", next, true});
    return build_tokenizer(vocabulary, 1000);
  }();
  static const Tokenizer tokenizer(data.tables(), "fuzz");
  for (const Specials specials : {Specials::as_text, Specials::parse}) {
    const std::vector<TokenId> ids = tokenizer.encode(input, specials);
    require(tokenizer.decode(ids) == input, "decode(encode(x)) is not x");
    require(ids.size() <= input.size(), "more tokens than bytes");
  }
}

std::vector<std::string> tokenizer_seeds() { return {"the thee's abab 1212 \n\n  x<|endoftext|>\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", std::string(300, 'e')}; }
std::vector<std::string> tokenizer_words() { return {"<|endoftext|>", "'s", "'ll", " the", "\xC2\xA0", "\xE2\x80\x83", "\xF0\x9F\x98\x80", "\xED\xA0\x80", "  \n"}; }

// -- UTF-8: the streaming decoder gives the same in any pieces, whole characters only --

void run_utf8(std::string_view input) {
  if (input.empty()) return;
  const size_t step = 1 + (static_cast<unsigned char>(input[0]) & 7);
  const std::string_view text = input.substr(1);
  for (const InvalidUtf8 policy : {InvalidUtf8::keep, InvalidUtf8::replace}) {
    Utf8Stream whole(policy), pieces(policy);
    std::string expected, out;
    whole.push(text, expected);
    whole.finish(expected);
    for (size_t i = 0; i < text.size(); i += step) pieces.push(text.substr(i, step), out);
    pieces.finish(out);
    require(out == expected, "other text in other pieces");
    if (policy == InvalidUtf8::keep) require(out == text, "bytes lost");
    if (policy == InvalidUtf8::replace) {
      for (size_t i = 0; i < out.size(); i += utf8_sequence_length(std::string_view(out).substr(i))) {
        require(utf8_sequence_length(std::string_view(out).substr(i)) > 0, "invalid UTF-8 came out");
      }
    }
  }
}

std::vector<std::string> utf8_seeds() { return {"\1caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "\3\xF0\x9F\xC3\xE2\x82", "\2\xED\xA0\x80\xC0\x80\xF4\x90\x80\x80"}; }

// -- arguments: escapes, lists of ids, stop strings --

void run_arguments(std::string_view input) {
  if (input.size() < 2) return;
  std::string plain;
  accepts([&] { plain = unescape(input, "fuzz"); }, {ExitCode::usage});
  require(plain.size() <= input.size(), "an escape that grows");
  accepts([&] {
    for (const TokenId id : parse_token_ids(input, 1000, "fuzz")) require(id >= 0 && id < 1000, "an id past the vocabulary");
  }, {ExitCode::input});
  const size_t cut = static_cast<unsigned char>(input[0]) % input.size(), half = cut / 2;
  std::vector<std::string> stops;
  if (half > 0) stops.emplace_back(input.substr(0, half));
  if (cut > half) stops.emplace_back(input.substr(half, cut - half));
  StopMatcher bytewise(stops, StopMatcher::Keep::nothing), whole(stops, StopMatcher::Keep::nothing);
  std::string a, b;
  const std::string_view text = input.substr(cut);
  for (const char c : text) bytewise.push({&c, 1}, a);
  whole.push(text, b);
  require(bytewise.matched() == whole.matched() && a == b, "a stop that depends on the pieces");
  if (!whole.matched()) {
    whole.finish(b);
    require(b == text, "text lost");
  }
}

std::vector<std::string> argument_seeds() { return {"\\n\\x41\\u00e9\\U0001F600", "[1, 2,3 999]", "\5ababXabababX", "\3\n\n\n\n"}; }
std::vector<std::string> argument_words() { return {"\\n", "\\x", "\\u", "\\U", "\\ud800", "1000", ",", " ", "[", "]", "99999999999"}; }

// -- the sampler: a legal token or none, whatever the logits and options --

void run_sampler(std::string_view input) {
  struct Head {
    float logits_scale;
    unsigned char flags, top_k, top_p, min_p, typical_p, temperature, penalty, ngram;
  } head = {};
  if (input.size() < sizeof head + 4) return;
  std::memcpy(&head, input.data(), sizeof head);
  input.remove_prefix(sizeof head);
  std::vector<float> logits;
  const size_t n_vocab = std::min<size_t>(input.size(), 64);
  const float scale = std::abs(head.logits_scale) < 1e36f ? head.logits_scale : 1.0f;  // NaN too
  for (size_t i = 0; i < n_vocab; ++i) logits.push_back(static_cast<float>(static_cast<signed char>(input[i])) * scale);
  std::vector<int32_t> text;
  for (size_t i = n_vocab; i < std::min<size_t>(input.size(), 200); ++i) text.push_back(static_cast<unsigned char>(input[i]) % static_cast<int32_t>(n_vocab));
  SamplingOptions options;
  const auto fraction = [](unsigned char byte) { return static_cast<float>(byte) / 255.0f; };
  options.greedy = (head.flags & 1) != 0;
  options.top_k = head.top_k;
  options.top_p = fraction(head.top_p);
  options.min_p = fraction(head.min_p);
  options.typical_p = fraction(head.typical_p);
  options.temperature = head.temperature == 0 ? 1e-30f : static_cast<float>(head.temperature) / 16.0f;
  options.repetition_penalty = 0.001f + static_cast<float>(head.penalty);
  if ((head.flags & 8) != 0) options.frequency_penalty = fraction(head.penalty) * 4 - 2;
  if ((head.flags & 16) != 0) options.presence_penalty = 2 - fraction(head.penalty) * 4;
  options.no_repeat_ngram = head.ngram % 5;
  if ((head.flags & 2) != 0) options.forbidden = {0, static_cast<int32_t>(n_vocab) - 1};
  if ((head.flags & 4) != 0) options.logit_bias = {{1, 1000.0f}, {0, -1000.0f}};
  options.min_new_tokens = head.flags >> 6;
  static Sampler sampler(64);
  const std::vector<int32_t> eos = {2};
  const uint32_t n_generated = std::min<size_t>(text.size(), (head.flags & 32) != 0 ? text.size() : 1);
  const TextSoFar so_far = {text, n_generated, eos};
  const auto token = sampler.sample(logits, options, so_far, PositionNoise(7, 0, text.size()));
  const auto again = sampler.sample(logits, options, so_far, PositionNoise(7, 0, text.size()));
  require(token == again, "the same question, another answer");
  if (!token) return;
  require(*token >= 0 && static_cast<size_t>(*token) < n_vocab, "a token outside the vocabulary");
  for (const int32_t forbidden : options.forbidden) require(*token != forbidden, "a forbidden token");
  if (options.min_new_tokens > n_generated) require(*token != 2, "an end before its time");
  if (options.no_repeat_ngram == 1) {
    for (const int32_t seen : text) require(*token != seen, "a token that was there");
  }
}

std::vector<std::string> sampler_seeds() {
  std::string seed(12, '\0');
  const float scale = 0.1f;
  std::memcpy(seed.data(), &scale, 4);
  seed += std::string(40, '\7') + "the logits and the text that follow them";
  seed[7] = '\x80';
  return {seed};
}

// -- a JSONL record: a request that the engine takes, or a line that says where the fault is --

void run_record(std::string_view input) {
  static const Model model = [] {
    const std::string file = nano_model_file();
    AlignedBuffer<std::byte> bytes(file.size());
    std::memcpy(bytes.data(), file.data(), file.size());
    return Model::from_memory(std::move(bytes), "fuzz.gpt2");
  }();
  static RecordParser parser(model, {}, RecordFormat::jsonl, false, "fuzz");
  const Record record = parser.parse(input, {1, 2});
  require(!record.id.empty(), "no id");
  if (record.failure) {
    require(record.failure->code == ExitCode::input && record.failure->message.starts_with("fuzz:2:"), "a failure without its place");
    for (const char c : record.failure->message) require(static_cast<unsigned char>(c) >= 0x20, "a control character in a message");
    return;
  }
  const Config& config = model.config();
  require(!record.prompt.empty() && record.prompt.size() <= config.n_ctx, "a prompt that does not fit");
  for (const TokenId id : record.prompt) require(id >= 0 && static_cast<uint32_t>(id) < config.n_vocab, "an id past the vocabulary");
  for (const int32_t id : record.request.sampling.forbidden) require(id >= 0 && static_cast<uint32_t>(id) < config.n_vocab, "a token past the vocabulary");
  for (const std::string& stop : record.arguments.stops) require(!stop.empty(), "an empty stop string");
  require(record.request.n_logprobs <= kMaxLogprobs && record.arguments.n_samples > 0, "a number out of range");
  require(record.request.slide_keep == 0 || record.request.slide_keep < config.n_ctx / 2, "nothing to forget");
}

std::vector<std::string> record_seeds() {
  return {R"({"id":"a","prompt":"abab","max_new_tokens":5,"temperature":0.5,"stop":["a","b"],"logit_bias":{"1":-2.5},"greedy":false})",
          R"({"id":3,"tokens":[0,1],"seed":18446744073709551615,"samples":2,"on_overflow":"slide","keep":1,"logprobs":20})"};
}
std::vector<std::string> record_words() {
  return {"\"prompt\":", "\"tokens\":[", "\"stop\":\"\"", "\"forbid_token\":", "\"top_k\":", "\"id\":", "1e999", "-0", "null", "\\ud800", "\\u0000", "[", "{", ",", "4294967296"};
}

const Target kTargets[] = {
    {"safetensors", run_safetensors, safetensors_seeds, safetensors_words},
    {"gguf", run_gguf, gguf_seeds, gguf_words},
    {"json", run_json, json_seeds, json_words},
    {"config", run_config, config_seeds, config_words},
    {"tokenizer_files", run_tokenizer_files, tokenizer_file_seeds, tokenizer_file_words},
    {"protobuf", run_protobuf, sentencepiece_seeds, sentencepiece_words},
    {"sentencepiece", run_sentencepiece, sentencepiece_seeds, sentencepiece_words},
    kModelFileTarget, kExportTarget, kGgufModelTarget,
    {"tokenizer", run_tokenizer, tokenizer_seeds, tokenizer_words},
    {"utf8", run_utf8, utf8_seeds, no_words},
    {"arguments", run_arguments, argument_seeds, argument_words},
    {"sampler", run_sampler, sampler_seeds, no_words},
    {"record", run_record, record_seeds, record_words},
    kKserveTarget, kHttpTarget, kOpenAiTarget,
    kTasksTarget, kGoldenTarget,
};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace gpt2::fuzz
