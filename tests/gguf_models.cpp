#include "tests/gguf_models.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/fixtures.h"
#include "tests/support.h"

namespace gpt2::test {

namespace {

std::string bytes_of(std::span<const std::byte> data) {
  const void* start = data.data();
  return {static_cast<const char*>(start), data.size()};
}

std::string zeros(const std::vector<uint64_t>& shape, GgufType type) {
  const GgufTypeInfo& info = gguf_type_info(type);
  uint64_t n = 1;
  for (const uint64_t d : shape) n *= d;
  return std::string(n / info.weights * info.bytes, '\0');
}

}  // namespace

std::string gguf_golden(const std::string& name) { return source_path(("tests/data/gguf/" + name + ".gguf").c_str()); }

GgufCopy::GgufCopy(const std::string& name) {
  const std::string path = gguf_golden(name);
  const std::string bytes = read_file(path);
  const GgufFile file = GgufFile::parse(std::as_bytes(std::span(bytes)), path);
  for (const GgufEntry& entry : file.entries()) {
    std::string value = le32(static_cast<uint32_t>(entry.value.is_array ? GgufKind::array : entry.value.kind));
    if (entry.value.is_array) value += le32(static_cast<uint32_t>(entry.value.kind)) + le64(entry.value.count);
    entries_.push_back({std::string(entry.key), value + bytes_of(entry.value.data)});
  }
  for (const GgufTensor& tensor : file.tensors()) {
    tensors_.push_back({std::string(tensor.name),
                        {tensor.shape.begin(), tensor.shape.begin() + tensor.rank},
                        tensor.type,
                        bytes_of(file.data(tensor))});
  }
}

GgufCopy& GgufCopy::remove(const std::string& key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
  return *this;
}

GgufCopy& GgufCopy::set(const std::string& key, GgufKind kind, const std::string& value) {
  remove(key);
  entries_.push_back({key, le32(static_cast<uint32_t>(kind)) + value});
  return *this;
}

GgufCopy& GgufCopy::set_array(const std::string& key, GgufKind kind, uint64_t count, const std::string& items) {
  return set(key, GgufKind::array, le32(static_cast<uint32_t>(kind)) + le64(count) + items);
}

GgufCopy& GgufCopy::set_f32(const std::string& key, float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return set(key, GgufKind::f32, le32(bits));
}

GgufCopy& GgufCopy::set_texts(const std::string& key, const std::vector<std::string>& texts) {
  std::string items;
  for (const std::string& text : texts) items += gguf_text(text);
  return set_array(key, GgufKind::string, texts.size(), items);
}

std::vector<std::string> GgufCopy::texts(const std::string& key) const {
  const std::string bytes = file();
  const GgufFile parsed = GgufFile::parse(std::as_bytes(std::span(bytes)), "copy");
  const auto found = *parsed.strings(key);
  return {found.begin(), found.end()};
}

GgufCopy::Tensor& GgufCopy::tensor(const std::string& name) {
  for (Tensor& tensor : tensors_) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

GgufCopy& GgufCopy::remove_tensor(const std::string& name) {
  tensor(name);
  std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  return *this;
}

GgufCopy& GgufCopy::add_tensor(const std::string& name, const std::vector<uint64_t>& shape, GgufType type) {
  tensors_.push_back({name, shape, type, zeros(shape, type)});
  return *this;
}

GgufCopy& GgufCopy::reshape(const std::string& name, const std::vector<uint64_t>& shape, GgufType type) {
  Tensor& changed = tensor(name);
  changed.shape = shape;
  changed.type = type;
  changed.data = zeros(shape, type);
  return *this;
}

std::string GgufCopy::file() const {
  GgufPieces pieces;
  for (const Entry& entry : entries_) {
    pieces.entries += gguf_text(entry.key) + entry.value;
    ++pieces.n_entries;
  }
  for (const Tensor& tensor : tensors_) pieces.tensor(tensor.name, tensor.shape, tensor.type, tensor.data);
  return pieces.file();
}

namespace {

class Models {
 public:
  std::vector<HostileGguf> take() {
    kinds();
    for (const char* end : {"context_length", "embedding_length", "block_count", "feed_forward_length",
                            "attention.head_count"}) {
      size("gpt2", "gpt2." + std::string(end));
      size("llama", "llama." + std::string(end));
    }
    epsilon("gpt2", "gpt2.attention.layer_norm_epsilon");
    epsilon("llama", "llama.attention.layer_norm_rms_epsilon");
    heads();
    rotary();
    arithmetic();
    tensors();
    types();
    head();
    tokens();
    merges();
    rules();
    return std::move(cases_);
  }

 private:
  void add(const std::string& name, const GgufCopy& copy, const std::string& item) {
    cases_.push_back({name, copy.file(), item});
  }
  // A copy of a golden with one change.
  template <class Change>
  void with(const std::string& model, const std::string& name, const std::string& item, Change change) {
    GgufCopy copy(model);
    change(copy);
    add(model + ": " + name, copy, item);
  }
  void with_u32(const std::string& model, const std::string& key, uint32_t value, const std::string& item = "") {
    with(model, key + " = " + std::to_string(value), item.empty() ? key : item,
         [&](GgufCopy& copy) { copy.set_u32(key, value); });
  }
  void with_f32(const std::string& model, const std::string& key, float value) {
    with(model, key + " = " + std::to_string(value), key, [&](GgufCopy& copy) { copy.set_f32(key, value); });
  }

  void kinds() {
    const std::string key = "general.architecture";
    with("gpt2", "no architecture", key, [&](GgufCopy& copy) { copy.remove(key); });
    for (const char* name : {"", "bert", "mamba", "GPT2", "gptj", "clip", "llama4"}) {
      with("gpt2", "the architecture " + std::string(name), key, [&](GgufCopy& copy) { copy.set_text(key, name); });
    }
    with("gpt2", "a number as architecture", key, [&](GgufCopy& copy) { copy.set_u32(key, 2); });
    with("gpt2", "an adapter", "general.type", [](GgufCopy& copy) { copy.set_text("general.type", "adapter"); });
    with("gpt2", "an importance matrix", "general.type", [](GgufCopy& copy) { copy.set_text("general.type", "imatrix"); });
    with("gpt2", "the first of three files", "split.count", [](GgufCopy& copy) { copy.set_u32("split.count", 3); });
  }

  void size(const std::string& model, const std::string& key) {
    with(model, "no " + key, key, [&](GgufCopy& copy) { copy.remove(key); });
    with(model, "a text as " + key, key, [&](GgufCopy& copy) { copy.set_text(key, "2"); });
    with(model, "a bool as " + key, key, [&](GgufCopy& copy) { copy.set_flag(key, true); });
    with(model, "a fraction as " + key, key, [&](GgufCopy& copy) { copy.set_f32(key, 1.5f); });
    with_u32(model, key, 0);
    with_u32(model, key, 0x80000000u);
    with(model, key + " = -1", key, [&](GgufCopy& copy) { copy.set(key, GgufKind::i32, le32(~0u)); });
    with(model, key + " = 2^63", key, [&](GgufCopy& copy) { copy.set(key, GgufKind::u64, le64(uint64_t{1} << 63)); });
    with(model, key + " by layer, two values", key,
         [&](GgufCopy& copy) { copy.set_array(key, GgufKind::u32, 2, le32(2) + le32(3)); });
    with(model, key + " by layer, no value", key, [&](GgufCopy& copy) { copy.set_array(key, GgufKind::u32, 0, ""); });
  }

  void epsilon(const std::string& model, const std::string& key) {
    with(model, "no " + key, key, [&](GgufCopy& copy) { copy.remove(key); });
    with(model, "a text as " + key, key, [&](GgufCopy& copy) { copy.set_text(key, "1e-5"); });
    for (const float value : {0.0f, -1e-5f, 1.5f, INFINITY, NAN}) with_f32(model, key, value);
  }

  void heads() {
    with_u32("llama", "llama.attention.head_count_kv", 0);
    with_u32("llama", "llama.attention.head_count_kv", 3, "n_kv_head");
    with_u32("llama", "llama.attention.head_count_kv", 8, "n_kv_head");
    with_u32("llama", "llama.attention.key_length", 0);
    with_u32("llama", "llama.attention.key_length", 15, "rotary_dims");
    with_u32("llama", "llama.attention.key_length", 5000, "d_head");
    with_u32("llama", "llama.attention.value_length", 8);
    with_u32("gpt2", "gpt2.attention.head_count", 3, "n_head");
    with_u32("gpt2", "gpt2.attention.head_count_kv", 1);
    with_u32("gpt2", "gpt2.attention.key_length", 8);
    with_u32("starcoder", "starcoder.attention.head_count_kv", 3);
    with("llama3", "head_count_kv by layer, two values", "llama.attention.head_count_kv", [](GgufCopy& copy) {
      copy.set_array("llama.attention.head_count_kv", GgufKind::i32, 2, le32(1) + le32(2));
    });
    with("gemma", "no width of a head and no divisor", "gemma.attention.head_count", [](GgufCopy& copy) {
      copy.remove("gemma.attention.key_length").set_u32("gemma.attention.head_count", 3);
    });
  }

  void rotary() {
    for (const uint32_t dims : {0u, 8u, 15u, 17u, 64u}) with_u32("llama", "llama.rope.dimension_count", dims);
    with("gptneox", "no rope.dimension_count", "gptneox.rope.dimension_count",
         [](GgufCopy& copy) { copy.remove("gptneox.rope.dimension_count"); });
    with_u32("gptneox", "gptneox.rope.dimension_count", 0);
    for (const uint32_t dims : {3u, 18u}) with_u32("gptneox", "gptneox.rope.dimension_count", dims, "rotary_dims");
    for (const float base : {0.0f, -1.0f, INFINITY, NAN}) with_f32("llama", "llama.rope.freq_base", base);
    for (const float base : {0.0f, NAN}) with_f32("gptneox", "gptneox.rope.freq_base", base);
    with("llama", "a text as freq_base", "llama.rope.freq_base",
         [](GgufCopy& copy) { copy.set_text("llama.rope.freq_base", "1e4"); });
    for (const char* type : {"yarn", "longrope", "dynamic", ""}) {
      with("llama", "the scaling " + std::string(type), "llama.rope.scaling.type",
           [&](GgufCopy& copy) { copy.set_text("llama.rope.scaling.type", type); });
    }
    with("llama", "a number as scaling", "llama.rope.scaling.type",
         [](GgufCopy& copy) { copy.set_u32("llama.rope.scaling.type", 1); });
    for (const float factor : {0.0f, -2.0f, NAN}) with_f32("llama", "llama.rope.scaling.factor", factor);
    with("llama", "linear without a factor", "llama.rope.scale_linear",
         [](GgufCopy& copy) { copy.remove("llama.rope.scaling.factor"); });
    with("llama3", "too few divisors of frequencies", "rope_freqs.weight",
         [](GgufCopy& copy) { copy.reshape("rope_freqs.weight", {4}, GgufType::f32); });
    with("llama3", "divisors of zero", "rope_freqs.weight",
         [](GgufCopy& copy) { copy.reshape("rope_freqs.weight", {8}, GgufType::f32); });
    with("llama3", "divisors that are no numbers", "rope_freqs.weight", [](GgufCopy& copy) {
      copy.tensor("rope_freqs.weight").data = std::string(32, '\xFF');
    });
    with("llama3", "a divisor close to zero", "rope_freqs.weight: expected numbers that keep the angles", [](GgufCopy& copy) {
      copy.tensor("rope_freqs.weight").data.replace(4, 4, std::string("\x01\x00\x00\x20", 4));
    });
    with("gpt2", "divisors of what does not turn", "rope_freqs.weight",
         [](GgufCopy& copy) { copy.add_tensor("rope_freqs.weight", {8}, GgufType::f32); });
  }

  void arithmetic() {
    with_u32("llama", "llama.expert_count", 8);
    with_f32("gpt2", "gpt2.attention.max_alibi_bias", 8);
    with_f32("gpt2", "gpt2.attention.clamp_kqv", 8);
    with_f32("llama", "llama.logit_scale", 0.0625f);
    with_f32("llama", "llama.residual_scale", 0.22f);
    with_f32("llama", "llama.embedding_scale", 12);
    with_f32("gemma", "gemma.attn_logit_softcapping", 50);
    with_f32("gemma", "gemma.final_logit_softcapping", 30);
    with_u32("llama", "llama.pooling_type", 1);
    with_f32("llama", "llama.rope.scaling.attn_factor", 1.2f);
    with_f32("llama", "llama.attention.scale", 1);
    with_f32("llama", "llama.attention.scale", NAN);
    with("llama", "attention that looks ahead", "llama.attention.causal",
         [](GgufCopy& copy) { copy.set_flag("llama.attention.causal", false); });
    with("llama", "a number as causal", "llama.attention.causal",
         [](GgufCopy& copy) { copy.set_u32("llama.attention.causal", 1); });
    with_u32("qwen2", "qwen2.attention.sliding_window", 8);
    with("stablelm", "a number as use_parallel_residual", "stablelm.use_parallel_residual",
         [](GgufCopy& copy) { copy.set_u32("stablelm.use_parallel_residual", 0); });
    with("stablelm", "parallel, with the serial block's tensors", "blk.0.ffn_norm",
         [](GgufCopy& copy) { copy.set_flag("stablelm.use_parallel_residual", true); });
  }

  void tensors() {
    for (const std::string model : {"gpt2", "llama", "gptneox", "qwen2", "phi2", "stablelm"}) {
      const GgufCopy whole(model);
      for (const GgufCopy::Tensor& tensor : whole.tensors()) {
        const std::string& name = tensor.name;
        const bool optional = name == "output.weight" || name.starts_with("blk.1.") ||
                              ((model == "llama" || model == "stablelm") && name.find("attn_") != std::string::npos &&
                               name.ends_with("bias") && name.find("norm") == std::string::npos);
        // Without its first part the matrix is taken for another kind.
        const std::string item = name == "blk.0.attn_qkv.weight" ? "blk.0.attn_q." : name;
        if (!optional) with(model, "no " + name, item, [&](GgufCopy& copy) { copy.remove_tensor(name); });
        if (model != "gpt2" && model != "llama") continue;
        std::vector<uint64_t> shape = tensor.shape;
        shape.back() += 1;
        with(model, "a row more in " + name, name, [&](GgufCopy& copy) {
          copy.reshape(name, name == "token_embd.weight" ? std::vector<uint64_t>{33, 37} : shape, GgufType::f32);
        });
      }
    }
    with("gpt2", "embeddings of one dimension", "token_embd.weight",
         [](GgufCopy& copy) { copy.reshape("token_embd.weight", {37}, GgufType::f32); });
    with("gpt2", "embeddings of three dimensions", "token_embd.weight",
         [](GgufCopy& copy) { copy.reshape("token_embd.weight", {32, 37, 1}, GgufType::f32); });
    with("gpt2", "a matrix of three dimensions", "blk.0.attn_qkv.weight",
         [](GgufCopy& copy) { copy.reshape("blk.0.attn_qkv.weight", {32, 96, 1}, GgufType::f32); });
    for (const char* name : {"blk.2.attn_norm.weight", "blk.0.attn_q_norm.weight", "blk.0.ffn_gate.weight",
                             "token_types.weight", "cls.weight", "rope_factors_long.weight", "blk.0.attn_q.weight",
                             "wte.weight"}) {
      with("gpt2", "a tensor that it does not have: " + std::string(name), name,
           [&](GgufCopy& copy) { copy.add_tensor(name, {32}, GgufType::f32); });
    }
    with_u32("gpt2", "gpt2.block_count", 1, "blk.1.");
    with_u32("gpt2", "gpt2.block_count", 3, "blk.2.");
    with_u32("gpt2", "gpt2.block_count", 1024, "blk.2.");
    with_u32("gpt2", "gpt2.block_count", 1000000, "n_layer");
    with_u32("gpt2", "gpt2.context_length", 25, "position_embd.weight");
    with_u32("gpt2", "gpt2.context_length", 2000000, "n_positions");
    with_u32("gpt2", "gpt2.embedding_length", 64, "position_embd.weight");
    with_u32("gpt2", "gpt2.embedding_length", 1u << 20, "n_embd");
    with_u32("gpt2", "gpt2.feed_forward_length", 128, "blk.0.ffn_up.weight");
    with_u32("gpt2", "gpt2.vocab_size", 38);
    with("gpt2", "no tensor at all", "token_embd.weight", [](GgufCopy& copy) {
      while (!copy.tensors().empty()) copy.remove_tensor(std::string(copy.tensors().back().name));
    });
  }

  void types() {
    for (const GgufType type : {GgufType::i8, GgufType::i16, GgufType::i32, GgufType::i64, GgufType::mxfp4}) {
      const std::string name = "blk.0.attn_qkv.weight";
      with("gpt2", "a matrix of " + std::string(gguf_type_info(type).name), name,
           [&](GgufCopy& copy) { copy.reshape(name, {32, 96}, type); });
      with("gpt2", "an unknown tensor of " + std::string(gguf_type_info(type).name), "extra",
           [&](GgufCopy& copy) { copy.add_tensor("extra", {32}, type); });
    }
    for (const GgufType type : {GgufType::iq2_xxs, GgufType::iq1_m, GgufType::tq1_0, GgufType::nvfp4, GgufType::q1_0}) {
      with("gpt2", "embeddings of " + std::string(gguf_type_info(type).name), "token_embd.weight",
           [&](GgufCopy& copy) { copy.reshape("token_embd.weight", {256, 37}, type); });
    }
  }

  void head() {
    with("gpt2", "a head of another width", "output.weight",
         [](GgufCopy& copy) { copy.reshape("output.weight", {16, 37}, GgufType::f32); });
    with("gpt2", "a head with fewer rows", "output.weight",
         [](GgufCopy& copy) { copy.reshape("output.weight", {32, 36}, GgufType::f32); });
    with("gpt2", "a bias of a head that has none", "output.bias",
         [](GgufCopy& copy) { copy.add_tensor("output.bias", {37}, GgufType::f32); });
    with("phi2", "a head without its bias", "output.bias", [](GgufCopy& copy) { copy.remove_tensor("output.bias"); });
    with("phi2", "a bias without its head", "output.weight", [](GgufCopy& copy) { copy.remove_tensor("output.weight"); });
  }

  void tokens() {
    const std::string key = "tokenizer.ggml.tokens", types = "tokenizer.ggml.token_type";
    with("gpt2", "no tokens", key, [&](GgufCopy& copy) { copy.remove(key); });
    with("gpt2", "an empty list of tokens", key, [&](GgufCopy& copy) { copy.set_texts(key, {}); });
    with("gpt2", "a text as tokens", key, [&](GgufCopy& copy) { copy.set_text(key, "a"); });
    with("gpt2", "numbers as tokens", key,
         [&](GgufCopy& copy) { copy.set_array(key, GgufKind::u32, 1, le32(0)); });
    const auto changed = [&](const std::string& name, size_t id, const std::string& text, const std::string& item) {
      with("gpt2", name, item, [&](GgufCopy& copy) {
        std::vector<std::string> texts = copy.texts(key);
        texts[id] = text;
        copy.set_texts(key, texts);
      });
    };
    changed("an empty token", 5, "", "token 5");
    changed("an empty added token", 36, "", "added token 36");
    changed("a token of 70000 bytes", 5, std::string(70000, 'x'), "token 5");
    changed("a merge's left part is gone", 0, "x", "merge 1");
    changed("a merge's result is gone", 2, "x", "merge 1");
    with("gpt2", "fewer types than tokens", types,
         [&](GgufCopy& copy) { copy.set_array(types, GgufKind::i32, 1, le32(1)); });
    with("gpt2", "more types than tokens", types, [&](GgufCopy& copy) {
      std::string items;
      for (int i = 0; i < 38; ++i) items += le32(1);
      copy.set_array(types, GgufKind::i32, 38, items);
    });
    for (const uint32_t type : {0u, 7u, 0xFFFFFFFFu, 0x80000000u}) {
      with("gpt2", "a token of type " + std::to_string(type), types, [&](GgufCopy& copy) {
        std::string items;
        for (int i = 0; i < 37; ++i) items += le32(i == 9 ? type : 1);
        copy.set_array(types, GgufKind::i32, 37, items);
      });
    }
    with("gpt2", "a text as types", types, [&](GgufCopy& copy) { copy.set_text(types, "1"); });
    with("gpt2", "texts as types", types, [&](GgufCopy& copy) { copy.set_texts(types, {"1"}); });
  }

  void merges() {
    const std::string key = "tokenizer.ggml.merges";
    with("gpt2", "no merges", key, [&](GgufCopy& copy) { copy.remove(key); });
    with("gpt2", "a text as merges", key, [&](GgufCopy& copy) { copy.set_text(key, "a b"); });
    with("gpt2", "numbers as merges", key, [&](GgufCopy& copy) { copy.set_array(key, GgufKind::u8, 1, "x"); });
    for (const char* merge : {"", " ", "a", "ab", "a ", " b"}) {
      with("gpt2", "the merge \"" + std::string(merge) + "\"", key,
           [&](GgufCopy& copy) { copy.set_texts(key, {merge}); });
    }
    for (const char* merge : {"a x", "x b", "b a", "a b c"}) {
      with("gpt2", "the merge \"" + std::string(merge) + "\"", "merge 2",
           [&](GgufCopy& copy) { copy.set_texts(key, {"a b", merge}); });
    }
    with("gpt2", "a merge twice", "merge 2", [&](GgufCopy& copy) { copy.set_texts(key, {"a b", "a b"}); });
  }

  void rules() {
    const std::string t = "tokenizer.ggml.";
    with("gpt2", "no tokenizer", t + "model", [&](GgufCopy& copy) { copy.remove(t + "model"); });
    for (const char* model : {"", "bert", "t5", "rwkv", "none", "no_vocab"}) {
      with("gpt2", "the tokenizer " + std::string(model), t + "model",
           [&](GgufCopy& copy) { copy.set_text(t + "model", model); });
    }
    with("gpt2", "a number as tokenizer", t + "model", [&](GgufCopy& copy) { copy.set_u32(t + "model", 1); });
    for (const char* pre : {"", "deepseek-llm", "tekken", "gpt-4o", "qwen35"}) {
      with("gpt2", "texts cut as " + std::string(pre), t + "pre",
           [&](GgufCopy& copy) { copy.set_text(t + "pre", pre); });
    }
    with("gpt2", "a number as pre", t + "pre", [&](GgufCopy& copy) { copy.set_u32(t + "pre", 1); });
    with("llama", "no pre where it decides", t + "pre", [&](GgufCopy& copy) { copy.remove(t + "pre"); });
    with("llama", "the default pre where it decides", t + "pre",
         [&](GgufCopy& copy) { copy.set_text(t + "pre", "default"); });
    with("gpt2", "an end after every text", t + "add_eos_token",
         [&](GgufCopy& copy) { copy.set_flag(t + "add_eos_token", true); });
    with("gpt2", "a number as add_bos_token", t + "add_bos_token",
         [&](GgufCopy& copy) { copy.set_u32(t + "add_bos_token", 1); });
    with("gpt2", "a beginning that is not there", t + "bos_token_id",
         [&](GgufCopy& copy) { copy.remove(t + "bos_token_id").set_flag(t + "add_bos_token", true); });
    with("gpt2", "a beginning past the tokens", t + "bos_token_id",
         [&](GgufCopy& copy) { copy.set_u32(t + "bos_token_id", 37).set_flag(t + "add_bos_token", true); });
    with("gpt2", "a text as the beginning", t + "bos_token_id",
         [&](GgufCopy& copy) { copy.set_text(t + "bos_token_id", "a"); });
    with("gpt2", "a negative end", t + "eos_token_id",
         [&](GgufCopy& copy) { copy.set(t + "eos_token_id", GgufKind::i32, le32(~0u)); });
  }

  std::vector<HostileGguf> cases_;
};

}  // namespace

std::vector<HostileGguf> hostile_models() { return Models().take(); }

}  // namespace gpt2::test
