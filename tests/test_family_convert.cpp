// Checkpoints of every architecture under their own names and keys, against numpy's float64 logits; and what is
// refused.
#include <doctest/doctest.h>

#include "src/base/error.h"
#include "src/convert/convert.h"
#include "tests/family_goldens.h"
#include "tests/fixtures.h"

using namespace gpt2;
using namespace gpt2::test;

TEST_CASE("family: converted checkpoints of every architecture have numpy's logits to 2e-4") {
  const Goldens goldens;
  CHECK(goldens.cases.size() == 18);
  for (const Golden& golden : goldens.cases) {
    const Model model = convert_fixture(checkpoint_of(golden));
    const double error = error_of(goldens, golden, model);
    CHECK_MESSAGE(error <= 2e-4, golden.name << ": " << error);
    CHECK(golden.name.starts_with(model.config().architecture.substr(0, 4)));
  }
}

TEST_CASE("family: quantised checkpoints, smoothed where that is legal, stay near") {
  const Goldens goldens;
  ConvertOptions options;
  options.dtype = DType::int8;
  for (const Golden& golden : goldens.cases) {
    const double error = error_of(goldens, golden, convert_fixture(checkpoint_of(golden), options));
    CHECK_MESSAGE(error <= 0.6, golden.name << ": " << error);
  }
}

TEST_CASE("family: each key that the arithmetic depends on shows in the logits") {
  struct Change {
    const char *name, *from, *to;
  };
  constexpr Change kChanges[] = {
      {"llama2", "\"rms_norm_eps\": 0.001, ", ""},
      {"llama2", "\"rope_theta\": 10000.0", "\"rope_theta\": 500000.0"},
      {"llama32", "\"factor\": 8.0", "\"factor\": 32.0"},
      {"llama_linear", "\"linear\"", "\"default\""},
      {"llama_linear", "\"rope_theta\": 1000.0", "\"rope_theta\": 10000.0"},
      {"mistral", "\"sliding_window\": 70", "\"sliding_window\": 71"},
      {"mistral", "\"sliding_window\": 70", "\"sliding_window\": null"},
      {"qwen2", "\"use_sliding_window\": false, \"sliding_window\": 7, \"max_window_layers\": 2",
       "\"use_sliding_window\": true, \"sliding_window\": 7, \"max_window_layers\": 1"},
      {"gemma", "\"bfloat16\"", "\"float32\""},
      {"gemma", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"silu\""},
      {"stablelm", "\"use_qkv_bias\": true", "\"use_qkv_bias\": true, \"use_parallel_residual\": true"},
      {"gptj", "\"rotary_dim\": 8", "\"rotary_dim\": 16"},
      {"gpt_neox", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\""},
      {"gpt_neox", "\"use_parallel_residual\": true", "\"use_parallel_residual\": false"},
      {"gpt_neo", "\"window_size\": 20", "\"window_size\": 21"},
      {"gpt_neo", "[\"global\", \"local\"]", "[\"local\", \"global\"]"},
      {"opt", "\"relu\"", "\"gelu\""},
      {"phi", "\"gelu_new\"", "\"relu\""}};
  const Goldens goldens;
  for (const Change& change : kChanges) {
    const Golden& golden = goldens.of(change.name);
    const std::string config = replaced(golden.config, change.from, change.to);
    CheckpointFixture fixture = checkpoint_of(golden, config);
    const double error = error_of(goldens, golden, convert_fixture(fixture));
    CHECK_MESSAGE(error > 4e-4, change.name << ": " << change.from << " as " << change.to << " makes " << error);
  }
}

TEST_CASE("family: a head that differs from wte is not tied, whatever config.json says") {
  const Goldens goldens;
  CheckpointFixture fixture = checkpoint_of(goldens.of("llama32"), goldens.of("llama32").config);
  fixture.shapes["lm_head.weight"] = fixture.shapes["model.embed_tokens.weight"];
  fixture.tensors["lm_head.weight"] = fixture.tensors["model.embed_tokens.weight"];
  CHECK(convert_fixture(fixture).config().tied_lm_head);
  fixture.tensors["lm_head.weight"][7] += 1;
  CHECK_FALSE(convert_fixture(fixture).config().tied_lm_head);
}

TEST_CASE("family: a checkpoint without one of its tensors is refused by the tensor's name") {
  const Goldens goldens;
  for (const Golden& golden : goldens.cases) {
    const CheckpointFixture whole = checkpoint_of(golden);
    const bool tied = convert_fixture(whole).config().tied_lm_head;
    for (const auto& [name, shape] : whole.shapes) {
      const auto ends = [&name](std::string_view end) { return name.ends_with(end); };
      if (ends("inv_freq") || ends("masked_bias") || ends(".attn.bias") || ends(".attention.bias")) continue;
      if (tied && (ends("lm_head.weight") || ends("embed_out.weight"))) continue;
      CheckpointFixture without = whole;
      without.shapes.erase(name);
      without.tensors.erase(name);
      const Failure failure = failure_of([&] { convert_fixture(without); });
      CHECK_MESSAGE(failure.code == 3, golden.name << " without " << name);
      const std::string end = name.substr(name.find('.') + 1);  // the prefix may be left out
      CHECK_MESSAGE(failure.message.find(end + ": expected a tensor") != std::string::npos, failure.message);
    }
  }
}

TEST_CASE("family: what would change the arithmetic and is not supported is refused by name") {
  struct Refusal {
    const char *name, *from, *to, *item;
  };
  constexpr Refusal kRefusals[] = {
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}", "rope_scaling"},
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2.0}", "rope_scaling"},
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2.0}", "low_freq_factor"},
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 1e-5}", "rope_scaling.factor"},
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 1e-310}", "rope_scaling.factor"},
      {"llama2", "\"rope_scaling\": null", "\"rope_scaling\": 2", "rope_scaling"},
      {"llama2", "\"silu\"", "\"quick_gelu\"", "hidden_act"},
      {"llama2", "\"rope_theta\": 10000.0", "\"rope_theta\": -1", "rope_theta"},
      {"llama2", "\"rms_norm_eps\": 0.001", "\"rms_norm_eps\": 0", "rms_norm_eps"},
      {"llama2", "\"model_type\": \"llama\"", "\"model_type\": \"bloom\"", "model_type"},
      {"llama2", "\"num_attention_heads\": 3", "\"num_attention_heads\": 5", "n_head"},
      {"llama32", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", "n_kv_head"},
      {"llama32", "\"head_dim\": 24", "\"head_dim\": 23", "rotary_dims"},
      {"llama32", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "model.layers.1."},
      {"llama32", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "layers.2."},
      {"llama32", "\"intermediate_size\": 52", "\"intermediate_size\": 51", "gate_proj"},
      {"llama2", "\"pretraining_tp\": 1", "\"quantization_config\": {\"bits\": 4}", "quantization_config"},
      {"phi", "\"qk_layernorm\": false", "\"qk_layernorm\": true", "qk_layernorm"},
      {"phi", "\"partial_rotary_factor\": 0.5", "\"partial_rotary_factor\": 1.5", "partial_rotary_factor"},
      {"opt", "\"do_layer_norm_before\": true", "\"do_layer_norm_before\": false", "do_layer_norm_before"},
      {"opt", "\"word_embed_proj_dim\": 40", "\"word_embed_proj_dim\": 20", "word_embed_proj_dim"},
      {"gpt_neo", "[\"global\", \"local\"], 1", "[\"global\", \"sparse\"], 1", "attention_types"},
      {"gpt_neo", "[\"global\", \"local\"], 1", "[\"global\"], 1", "attention_types"},
      {"gptj", "\"rotary_dim\": 8", "\"rotary_dim\": 18", "rotary_dims"}};
  const Goldens goldens;
  for (const Refusal& refusal : kRefusals) {
    const Golden& golden = goldens.of(refusal.name);
    const CheckpointFixture fixture = checkpoint_of(golden, replaced(golden.config, refusal.from, refusal.to));
    const Failure failure = failure_of([&] { convert_fixture(fixture); });
    CHECK_MESSAGE(failure.code == 3, refusal.name << ": " << refusal.to);
    CHECK_MESSAGE(failure.message.find(refusal.item) != std::string::npos, refusal.to << ": " << failure.message);
  }
}
