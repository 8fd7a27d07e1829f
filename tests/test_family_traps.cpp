// What goes wrong in silence where an architecture is read as its neighbour: defaults, types of weights, shards, ends
// of texts, what stands before a text, angles, the cache's size. Formulas and layouts are in
// test_family_convert.cpp; scripts/mutate_checks.sh puts each trap in and sees it noticed.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "kernels/float_types.h"
#include "src/base/error.h"
#include "src/convert/config_json.h"
#include "src/convert/convert.h"
#include "src/model/attention.h"
#include "src/model/kv_cache.h"
#include "tests/family_goldens.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

Model convert_files(const CheckpointFixture& fixture, const std::map<std::string, std::string>& files) {
  const std::string directory = fixture.write();
  for (const auto& [name, text] : files) write_file(directory + "/" + name, text);
  return convert_model(directory);
}

std::vector<float> logits(const Model& model, const Goldens& goldens) {
  return logits_of(model, std::span(goldens.ids).first(20), {runnable_kernels().tables[0], 2});
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("family traps: an absent key has its architecture's own default") {
  const std::string llama =
      R"("hidden_size":512,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,"vocab_size":32)";
  const std::string gpt = R"("n_embd":512,"n_layer":2,"n_head":4,"vocab_size":32)";
  struct Default {
    std::string name, keys;
    float epsilon;
    Activation activation;
    bool tied;
    uint32_t n_kv_head, d_head, rotary_dims, n_inner;
    Residual residual;
  };
  const Default kDefaults[] = {
      {"llama", llama, 1e-6f, Activation::silu, false, 4, 128, 128, 96, Residual::serial},
      {"mistral", llama, 1e-6f, Activation::silu, false, 4, 128, 128, 96, Residual::serial},
      {"qwen2", llama, 1e-6f, Activation::silu, false, 4, 128, 128, 96, Residual::serial},
      {"gemma", llama, 1e-6f, Activation::gelu_tanh, true, 4, 256, 256, 96, Residual::serial},
      {"stablelm", llama, 1e-5f, Activation::silu, false, 4, 128, 32, 96, Residual::serial},
      {"phi", llama, 1e-5f, Activation::gelu_tanh, false, 4, 128, 64, 96, Residual::parallel_one_norm},
      {"gpt_neox", llama, 1e-5f, Activation::gelu_erf, false, 4, 128, 32, 96, Residual::parallel_two_norms},
      {"gptj", gpt, 1e-5f, Activation::gelu_tanh, false, 4, 128, 64, 2048, Residual::parallel_one_norm},
      {"gpt_bigcode", gpt, 1e-5f, Activation::gelu_tanh, true, 1, 128, 0, 2048, Residual::serial},
      {"gpt_neo", R"("hidden_size":512,"num_layers":2,"num_heads":4,"vocab_size":32)", 1e-5f, Activation::gelu_tanh,
       true, 4, 128, 0, 2048, Residual::serial},
      {"opt", R"("hidden_size":512,"ffn_dim":96,"num_hidden_layers":2,"num_attention_heads":4,"vocab_size":32)", 1e-5f,
       Activation::relu, true, 4, 128, 0, 96, Residual::serial}};
  for (const Default& expected : kDefaults) {
    const std::string name = expected.name;
    const ConfigFile file = parse_config("{\"model_type\":\"" + name + "\"," + expected.keys + "}", "config.json");
    const Config& c = file.config;
    CHECK_MESSAGE(c.layer_norm_epsilon == expected.epsilon, name);
    CHECK_MESSAGE(c.activation == expected.activation, name);
    CHECK_MESSAGE(c.tied_lm_head == expected.tied, name);
    CHECK_MESSAGE(c.n_kv_head == expected.n_kv_head, name);
    CHECK_MESSAGE(c.d_head == expected.d_head, name);
    CHECK_MESSAGE(c.rotary_dims == expected.rotary_dims, name);
    CHECK_MESSAGE(c.n_inner == expected.n_inner, name);
    CHECK_MESSAGE(c.residual == expected.residual, name);
    CHECK_MESSAGE(c.scale_attn_weights == (name != "gpt_neo"), name);
    CHECK_MESSAGE(c.head_bias == (name == "gptj" || name == "phi"), name);
    if (expected.rotary_dims > 0) {
      CHECK_MESSAGE(std::abs(file.frequencies[1] - std::pow(1e4, -2.0 / expected.rotary_dims)) < 1e-6, name);
    }
    const std::vector<uint32_t> every_other = {0, 256}, none;
    CHECK_MESSAGE(c.windows == (name == "gpt_neo" ? every_other : none), name);
    const float scale = name == "gemma" ? std::sqrt(512.0f) : 1.0f;
    CHECK_MESSAGE(c.embedding_scale == scale, name);
  }
}

TEST_CASE("family traps: null is a whole head of GPT-J's that turns; a base stands before what is outside") {
  const std::string gptj = R"({"model_type":"gptj","n_embd":512,"n_layer":2,"n_head":4,"vocab_size":32,"rotary_dim":)";
  CHECK(parse_config(gptj + "null}", "config.json").config.rotary_dims == 128);
  CHECK(parse_config(gptj + "32}", "config.json").config.rotary_dims == 32);
  const std::string neox =
      R"({"model_type":"gpt_neox","hidden_size":512,"intermediate_size":96,"num_hidden_layers":2,)"
      R"("num_attention_heads":4,"vocab_size":32,"rotary_pct":0.5,"rotary_emb_base":100)";
  const ConfigFile older = parse_config(neox + "}", "config.json");
  CHECK(older.config.rotary_dims == 64);
  CHECK(std::abs(older.frequencies[1] - std::pow(100.0, -2.0 / 64)) < 1e-6);
  const std::string parameters =
      R"(,"rope_parameters":{"rope_type":"default","rope_theta":500.0,"partial_rotary_factor":0.25}})";
  const ConfigFile newer = parse_config(neox + parameters, "config.json");
  CHECK(newer.config.rotary_dims == 32);
  CHECK(std::abs(newer.frequencies[1] - std::pow(500.0, -2.0 / 32)) < 1e-6);
}

TEST_CASE("family traps: windows where a key is absent, null, or says it layer by layer") {
  const std::string sizes =
      R"("hidden_size":64,"intermediate_size":96,"num_hidden_layers":3,"num_attention_heads":4,"vocab_size":32)";
  const auto windows = [&](const std::string& name, const std::string& keys) {
    const std::string text =
        "{\"model_type\":\"" + name + "\"," + sizes + ",\"max_position_embeddings\":8192" + keys + "}";
    return parse_config(text, "config.json").config.windows;
  };
  const std::vector<uint32_t> none;
  CHECK(windows("mistral", "") == std::vector<uint32_t>{4096, 4096, 4096});
  CHECK(windows("mistral", R"(,"sliding_window":null)") == none);
  CHECK(windows("mistral", R"(,"sliding_window":8192)") == none);
  CHECK(windows("mistral", R"(,"sliding_window":8191)") == std::vector<uint32_t>{8191, 8191, 8191});
  const std::string on = R"(,"use_sliding_window":true,"sliding_window":100)";
  CHECK(windows("qwen2", R"(,"sliding_window":100)") == none);
  CHECK(windows("qwen2", on + R"(,"max_window_layers":2)") == std::vector<uint32_t>{0, 0, 100});
  CHECK(windows("qwen2", on) == std::vector<uint32_t>{0, 0, 0});
  const std::string types = R"(,"layer_types":["sliding_attention","full_attention","sliding_attention"])";
  CHECK(windows("qwen2", on + types) == std::vector<uint32_t>{100, 0, 100});
  const Failure failure = failure_of([&] { windows("qwen2", on + R"(,"layer_types":["full_attention"])"); });
  CHECK(failure.code == 3);
  CHECK(failure.message.find("layer_types") != std::string::npos);
}

TEST_CASE("family traps: Gemma's activation is the tanh form, however the keys say it") {
  const Goldens goldens;
  const Golden& gemma = goldens.of("gemma");
  for (const char* keys : {"\"hidden_act\": \"gelu_pytorch_tanh\"",
                           "\"hidden_act\": \"gelu\", \"hidden_activation\": null",
                           "\"hidden_act\": \"gelu\", \"hidden_activation\": \"gelu_pytorch_tanh\""}) {
    const std::string config = replaced(gemma.config, "\"hidden_act\": \"gelu\"", keys);
    CHECK_MESSAGE(error_of(goldens, gemma, convert_fixture(checkpoint_of(gemma, config))) <= 2e-4, keys);
  }
}

TEST_CASE("family traps: weights of 16 bits are those values in f32, and shards are one checkpoint") {
  const Goldens goldens;
  for (const char* name : {"llama32", "gptj", "gpt_neox"}) {
    CheckpointFixture wide = checkpoint_of(goldens.of(name));
    for (const char* dtype : {"BF16", "F16"}) {
      CheckpointFixture half = wide, rounded = wide;
      half.dtype = dtype;
      for (auto& [tensor, values] : rounded.tensors) {
        for (float& v : values) {
          v = half.dtype == "F16" ? f16_to_float(float_to_f16(v)) : bf16_to_float(float_to_bf16(v));
        }
      }
      const Model model = convert_fixture(half), expected = convert_fixture(rounded);
      CHECK_MESSAGE(same(logits(model, goldens), logits(expected, goldens)), name << dtype);
    }
    // Every other tensor in another file.
    CheckpointFixture parts[2] = {wide, wide};
    std::string map;
    size_t i = 0;
    for (const auto& [tensor, values] : wide.tensors) {
      parts[1 - i % 2].tensors.erase(tensor);
      map += (i > 0 ? ",\"" : "\"") + tensor + "\":\"model-" + std::to_string(i % 2) + ".safetensors\"";
      ++i;
    }
    const std::string directory = wide.write();
    std::filesystem::remove(directory + "/model.safetensors");
    for (const size_t part : {0, 1}) {
      write_file(directory + "/model-" + std::to_string(part) + ".safetensors", parts[part].safetensors());
    }
    write_file(directory + "/model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
    MemorySink sink;
    convert_checkpoint(directory, {}, sink, nullptr);
    const Model sharded = Model::from_memory(sink.take(), name);
    CHECK_MESSAGE(same(logits(sharded, goldens), logits(convert_fixture(wide), goldens)), name);
  }
}

TEST_CASE("family traps: a text ends at every token that config.json or generation_config.json lists") {
  const Goldens goldens;
  const CheckpointFixture fixture = checkpoint_of(goldens.of("llama32"));
  const auto ends = [&](const std::map<std::string, std::string>& files) {
    return convert_files(fixture, files).config().eos_token_ids;
  };
  CHECK(ends({}) == std::vector<int32_t>{2, 3});
  CHECK(ends({{"generation_config.json", R"({"eos_token_id":[2,3,5]})"}}) == std::vector<int32_t>{2, 3, 5});
}

TEST_CASE("family traps: OPT's texts begin with </s>, its third token") {
  const Goldens goldens;
  CheckpointFixture fixture = checkpoint_of(goldens.of("opt"));
  fixture.vocab_json = R"({"<s>":0,"<pad>":1,"</s>":2,"a":3,"b":4,"ab":5})";
  const std::string files = R"({"bos_token":{"content":"</s>"},"eos_token":{"content":"</s>"},)"
                            R"("pad_token":{"content":"<pad>"},"add_bos_token":true,"add_prefix_space":false,"tokenizer_class":"GPT2Tokenizer"})";
  const Model model = convert_files(fixture, {{"tokenizer_config.json", files}});
  CHECK(model.tokenizer().encode("ab") == std::vector<TokenId>{2, 5});
  CHECK(model.tokenizer().encode("") == std::vector<TokenId>{2});
  CHECK(model.tokenizer().decode(std::vector<TokenId>{2, 5}) == "ab");
}

TEST_CASE("family traps: an angle is rounded to a float before its cosine is taken") {
  const std::vector<float> frequencies = {1.0f, 0.7f, 0.013f};
  for (const uint32_t position : {0u, 1u, 8191u, 131071u}) {
    std::vector<float> turns(6);
    turns_of(position, frequencies, turns.data());
    for (size_t i = 0; i < 3; ++i) {
      const float angle = static_cast<float>(position) * frequencies[i];
      CHECK(turns[i] == static_cast<float>(std::cos(double{angle})));
      CHECK(turns[3 + i] == static_cast<float>(std::sin(double{angle})));
    }
  }
}

TEST_CASE("family traps: bytes of the cache for a token are those of the heads of keys") {
  struct Shape {
    const char* name;
    uint32_t n_layer, n_head, n_kv_head, d_head;
    size_t bytes;  // in f16
    bool turns;
  };
  constexpr Shape kShapes[] = {{"GPT-2 124M", 12, 12, 12, 64, 36864, false},
                               {"StarCoder 15B", 40, 48, 1, 128, 20480, false},
                               {"SmolLM2-135M", 30, 9, 3, 64, 23040, true},
                               {"Llama-3.2-1B", 16, 32, 8, 64, 32768, true},
                               {"TinyLlama 1.1B", 22, 32, 4, 64, 22528, true},
                               {"GPT-J 6B", 28, 16, 16, 256, 458752, true},
                               {"Llama-2-7B", 32, 32, 32, 128, 524288, true}};
  for (const Shape& shape : kShapes) {
    Config c;
    c.n_layer = shape.n_layer;
    c.n_head = shape.n_head;
    c.n_kv_head = shape.n_kv_head;
    c.d_head = shape.d_head;
    c.positions = shape.turns ? Positions::rotary : Positions::learned;
    CHECK_MESSAGE(KvLayout(c, KvType::f16).block_bytes() == shape.bytes * kBlockPositions, shape.name);
    CHECK_MESSAGE(KvLayout(c, KvType::f32).block_bytes() == 2 * shape.bytes * kBlockPositions, shape.name);
  }
}
