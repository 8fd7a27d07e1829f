// GGUF files as models: against the Hugging Face directories that they stand for, and what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "src/base/error.h"
#include "src/convert/convert.h"
#include "src/convert/gguf_blocks.h"
#include "src/convert/named_tensors.h"
#include "src/io/gguf.h"
#include "src/io/json.h"
#include "src/io/mapped_file.h"
#include "tests/family_goldens.h"
#include "tests/fixtures.h"
#include "tests/gguf_models.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// The directory that a golden file says it was made from. GGUF leaves out a bias of zeros, a directory does not.
CheckpointFixture directory_of(const std::string& path) {
  const MappedFile mapped = MappedFile::open(path);
  const GgufFile gguf = GgufFile::parse(mapped.bytes(), path);
  CheckpointFixture fixture = checkpoint_of(std::string(*gguf.string("test.config")), parse_json(*gguf.string("test.tensors"), path));
  for (const char* layer : {"model.layers.0.self_attn.", "model.layers.1.self_attn."}) {
    const std::string output = std::string(layer) + "o_proj", query = std::string(layer) + "q_proj";
    if (fixture.tensors.contains(query + ".bias") && fixture.config_json.find("attention_bias") != std::string::npos) {
      fixture.shapes[output + ".bias"] = {fixture.shapes.at(output + ".weight").at(0)};
      fixture.tensors[output + ".bias"].assign(fixture.shapes.at(output + ".weight").at(0), 0.0f);
    }
  }
  fixture.dtype = "F16";
  return fixture;
}

std::vector<float> some_logits(const Model& model) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 24; ++i) ids.push_back((i * i + 5 * i + 3) % 37);
  return logits_of(model, ids, {runnable_kernels().tables[0], 2});
}

}  // namespace

TEST_CASE("gguf models: each architecture has the logits of its Hugging Face directory, bit for bit") {
  for (const char* name : kGgufGoldens) {
    INFO(name);
    const std::string path = gguf_golden(name);
    std::vector<std::string> warnings;
    const Model model = convert_model(path, {}, &warnings), expected = convert_fixture(directory_of(path));
    CHECK(warnings.empty());
    const std::vector<float> a = some_logits(model), b = some_logits(expected);
    REQUIRE(a.size() == b.size());
    for (const float value : a) REQUIRE(std::isfinite(value));
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    CHECK(model.config().architecture == expected.config().architecture);
    CHECK(model.config().tied_lm_head == expected.config().tied_lm_head);
    CHECK(model.config().bos_token_id == 1);
    CHECK(model.config().eos_token_ids == std::vector<int32_t>{2});
    CHECK(model.tokenizer().encode("abba") == std::vector<TokenId>{2, 1, 0});
  }
}

TEST_CASE("gguf models: hostile models are refused by name, in one line") {
  const std::string path = temp_dir() + "/f.gguf";
  std::set<std::string> names;
  for (const HostileGguf& hostile : hostile_models()) {
    INFO(hostile.name);
    CHECK(names.insert(hostile.name).second);
    write_file(path, hostile.file);
    const Failure failure = failure_of([&] { convert_model(path); });
    REQUIRE(failure.code == 3);
    CHECK(failure.message.starts_with(path + ": " + hostile.item));
    CHECK(failure.message.find('\n') == std::string::npos);
  }
  MESSAGE(names.size() << " models");
  CHECK(names.size() >= 150);
}

TEST_CASE("gguf models: a copy of a golden is accepted") {
  const std::string path = temp_dir() + "/f.gguf";
  for (const char* name : kGgufGoldens) {
    INFO(name);
    write_file(path, GgufCopy(name).file());
    const std::vector<float> a = some_logits(convert_model(path)), b = some_logits(convert_model(gguf_golden(name)));
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("gguf models: a file cut at any byte is refused") {
  const std::string whole = GgufCopy("starcoder").file();
  size_t refused = 0;
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string cut = whole.substr(0, n);
    refused += failure_of([&] { GgufFile::parse(std::as_bytes(std::span(cut)), "cut"); }).code == 3;
  }
  CHECK(refused == whole.size());
}

namespace {

// Converts a copy of a golden that was changed.
template <class Change>
Model changed(const std::string& name, Change change, std::vector<std::string>* warnings = nullptr,
              const ConvertOptions& options = {}) {
  GgufCopy copy(name);
  change(copy);
  const std::string path = temp_dir() + "/f.gguf";
  write_file(path, copy.file());
  return convert_model(path, options, warnings);
}

bool same_logits(const Model& a, const Model& b) {
  const std::vector<float> x = some_logits(a), y = some_logits(b);
  return std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

std::string floats_as_bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

constexpr const char* kTokens = "tokenizer.ggml.tokens";

}  // namespace

TEST_CASE("gguf models: a head is wte where it is absent or has the same values, in whatever type") {
  const Model whole = convert_model(gguf_golden("gpt2"));
  CHECK(whole.config().tied_lm_head);
  const Model absent = changed("gpt2", [](GgufCopy& copy) { copy.remove_tensor("output.weight"); });
  CHECK(absent.config().tied_lm_head);
  CHECK(same_logits(whole, absent));
  const auto widen = [](GgufCopy& copy, float added) {
    GgufCopy::Tensor& head = copy.tensor("output.weight");
    std::vector<float> values(head.data.size() / 2);
    decode_blocks(GgufType::f16, std::as_bytes(std::span(head.data)), values);
    values[40] += added;
    head.type = GgufType::f32;
    head.data = floats_as_bytes(values);
  };
  const Model wide = changed("gpt2", [&](GgufCopy& copy) { widen(copy, 0); });
  CHECK(wide.config().tied_lm_head);
  CHECK(same_logits(whole, wide));
  const Model other = changed("gpt2", [&](GgufCopy& copy) { widen(copy, 1); });
  CHECK_FALSE(other.config().tied_lm_head);
  CHECK_FALSE(same_logits(whole, other));
}

TEST_CASE("gguf models: blocks count as the values that they decode to") {
  ConvertOptions options;
  options.dtype = DType::f32;
  for (const GgufType type : {GgufType::q4_0, GgufType::q4_1, GgufType::q5_0, GgufType::q5_1, GgufType::q8_0,
                              GgufType::iq4_nl, GgufType::bf16}) {
    INFO(std::string(gguf_type_info(type).name));
    const auto quantise = [&](GgufCopy& copy, bool decoded) {
      for (const char* name : {"blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.0.ffn_gate.weight", "token_embd.weight"}) {
        GgufCopy::Tensor& tensor = copy.tensor(name);
        const uint64_t n = tensor.shape[0] * tensor.shape[1];
        copy.reshape(name, tensor.shape, type);
        Numbers numbers(n + static_cast<uint64_t>(type));
        const GgufTypeInfo& info = gguf_type_info(type);
        for (char& c : tensor.data) c = static_cast<char>(numbers.bits());
        // Scales and minima of about 0.01: no NaN.
        for (size_t at = 0; info.weights > 1 && at < tensor.data.size(); at += info.bytes) {
          tensor.data[at + 1] = '\x21';
          tensor.data[at + 3] = '\x22';
        }
        for (size_t at = 1; info.weights == 1 && at < tensor.data.size(); at += 2) tensor.data[at] = '\x3e';
        if (!decoded) continue;
        std::vector<float> values(n);
        decode_blocks(type, std::as_bytes(std::span(tensor.data)), values);
        tensor.type = GgufType::f32;
        tensor.data = floats_as_bytes(values);
      }
    };
    const Model a = changed("llama", [&](GgufCopy& copy) { quantise(copy, false); }, nullptr, options);
    const Model b = changed("llama", [&](GgufCopy& copy) { quantise(copy, true); }, nullptr, options);
    for (const float value : some_logits(a)) REQUIRE(std::isfinite(value));
    CHECK(same_logits(a, b));
    CHECK_FALSE(same_logits(a, convert_model(gguf_golden("llama"))));
  }
}

TEST_CASE("gguf models: any part of a tensor of blocks reads as the whole does") {
  const MappedFile mapped = MappedFile::open(source_path("tests/data/blocks.gguf"));
  const GgufFile file = GgufFile::parse(mapped.bytes(), mapped.path());
  const NamedTensors tensors(file, mapped);
  for (const char* name : {"Q4_0", "Q6_K", "Q8_0", "BF16", "F16"}) {
    const NamedTensor& tensor = *tensors.find(name);
    std::vector<float> whole(tensor.size());
    tensor.read(0, whole.size(), whole.data());
    for (const auto& [first, count] : {std::pair{0u, 1u}, {3u, 29u}, {31u, 2u}, {255u, 2u}, {32u, 64u}, {5u, 600u}}) {
      if (first + count > whole.size()) continue;
      std::vector<float> part(count);
      tensor.read(first, count, part.data());
      CHECK(std::memcmp(part.data(), whole.data() + first, count * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("gguf models: an old file without pre is GPT-2's, with a warning") {
  std::vector<std::string> warnings;
  const auto remove = [](GgufCopy& copy) { copy.remove("tokenizer.ggml.pre"); };
  CHECK(same_logits(changed("gpt2", remove, &warnings), convert_model(gguf_golden("gpt2"))));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("tokenizer.ggml.pre is missing") != std::string::npos);
}

TEST_CASE("gguf models: unknown keys of the architecture are warned of, others are not") {
  std::vector<std::string> warnings;
  changed("gpt2", [](GgufCopy& copy) { copy.set_u32("gpt2.new_feature", 1).set_u32("test.new_feature", 1); }, &warnings);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("gpt2.new_feature") != std::string::npos);
}

TEST_CASE("gguf models: ids that the file does not give are those of <|endoftext|>") {
  const Model model = changed("gpt2", [](GgufCopy& copy) {
    std::vector<std::string> texts = copy.texts(kTokens);
    texts[36] = "<|endoftext|>";
    copy.set_texts(kTokens, texts).remove("tokenizer.ggml.bos_token_id").remove("tokenizer.ggml.eos_token_id");
    copy.remove("tokenizer.ggml.token_type");
  });
  CHECK(model.config().bos_token_id == 36);
  CHECK(model.config().eos_token_ids == std::vector<int32_t>{36});
  CHECK(model.tokenizer().encode("a<|endoftext|>", Specials::parse) == std::vector<TokenId>{0, 36});
  const Model without = changed("gpt2", [](GgufCopy& copy) {
    copy.remove("tokenizer.ggml.bos_token_id").remove("tokenizer.ggml.eos_token_id");
  });
  CHECK(without.config().bos_token_id == -1);
  CHECK(without.config().eos_token_ids.empty());
}

TEST_CASE("gguf models: every id that ends a text or a turn is an end") {
  const Model model = changed("llama", [](GgufCopy& copy) {
    copy.set_u32("tokenizer.ggml.eot_token_id", 7).set_u32("tokenizer.ggml.eom_token_id", 2);
  });
  CHECK(model.config().eos_token_ids == std::vector<int32_t>{2, 7});
}

TEST_CASE("gguf models: token types say what is matched, and what has a text") {
  std::vector<std::string> warnings;
  const Model model = changed("gpt2", [](GgufCopy& copy) {
    std::string types;
    for (int i = 0; i < 37; ++i) types += le32(i == 34 ? 5u : i == 35 ? 4u : i == 36 ? 3u : i == 33 ? 2u : 1u);
    std::vector<std::string> texts = copy.texts(kTokens);
    texts[33] = "<unk>";
    texts[34] = "[PAD34]";
    texts[35] = "aa";
    texts[36] = "<s>";
    texts[32] = "t31";
    copy.set_texts(kTokens, texts).set_array("tokenizer.ggml.token_type", GgufKind::i32, 37, types);
  }, &warnings);
  const Tokenizer& tokenizer = model.tokenizer();
  CHECK(tokenizer.encode("aab") == std::vector<TokenId>{35, 1});
  CHECK(tokenizer.encode("<s>a<unk>", Specials::parse) == std::vector<TokenId>{36, 0, 33});
  CHECK(tokenizer.token_bytes(34).empty());
  CHECK(tokenizer.token_bytes(31) == "t31");
  CHECK(tokenizer.token_bytes(32).empty());
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("token 32 \"t31\" left out") != std::string::npos);
}

TEST_CASE("gguf models: a name says how texts are cut") {
  struct PreCase {
    const char* pre;
    SplitRule split;
    bool nfc, whole;
  };
  for (const PreCase& c : {PreCase{"gpt-2", SplitRule::gpt2, false, false}, {"smollm", SplitRule::gpt2_digits, false, false},
                           {"starcoder", SplitRule::gpt2_digits, false, false}, {"llama-bpe", SplitRule::llama3, false, true},
                           {"dbrx", SplitRule::llama3, false, false}, {"qwen2", SplitRule::qwen2, true, false}}) {
    const Model model = changed("llama", [&](GgufCopy& copy) { copy.set_text("tokenizer.ggml.pre", c.pre); });
    const TokenizerRules& rules = model.file().tokenizer.rules;
    CHECK(rules.split == c.split);
    CHECK(rules.nfc == c.nfc);
    CHECK(rules.ignore_merges == c.whole);
    CHECK(rules.before_text == (c.whole ? std::vector<TokenId>{1} : std::vector<TokenId>{}));
  }
  const Model told = changed("gpt2", [](GgufCopy& copy) { copy.set_flag("tokenizer.ggml.add_bos_token", true); });
  CHECK(told.tokenizer().encode("ab") == std::vector<TokenId>{1, 2});
}
