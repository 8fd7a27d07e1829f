#include "tests/fuzz/model_targets.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/convert/config_writer.h"
#include "src/convert/convert.h"
#include "src/convert/gguf_export.h"
#include "src/convert/tokenizer_writer.h"
#include "src/io/byte_sink.h"
#include "src/io/gguf.h"
#include "src/io/json.h"
#include "src/model/forward.h"
#include "src/model/model.h"
#include "tests/fixtures.h"
#include "tests/fuzz/expect.h"
#include "tests/gguf_files.h"
#include "tests/hostile.h"
#include "tests/support.h"

namespace gpt2::fuzz {
namespace {

using namespace gpt2::test;

// Computes a first token and what a second one makes of it.
void compute(const Model& model) {
  const Config& config = model.config();
  KvPool pool(KvLayout(config, KvType::f16), 1);
  const uint32_t n = std::min(config.n_ctx, 2u);
  KvSequence sequence(pool, n);
  KvSequence* const pointer = &sequence;
  require(sequence.extend(n), "a block is not there");
  ThreadTeam team(1);
  Workspace workspace(config, 1, 1, 1);
  for (uint32_t position = 0; position < n; ++position) {
    const auto token = static_cast<int32_t>(position == 0 ? 0 : config.n_vocab - 1);
    const Row row = {0, position, token, Wants::logits};
    const ForwardResult result = forward(config, model.weights(), {{&row, 1}, {&pointer, 1}}, workspace, {*find_kernels("scalar"), team});
    require(result.logits.row(0).size() == config.n_logits(), "other logits than tokens");
  }
}

void use_tokenizer(const Model& model) {
  const Tokenizer& tokenizer = model.tokenizer();
  accepts([&] {
    const std::vector<TokenId> ids = tokenizer.encode("abab<|endoftext|> ba\xC3\xA9\n<s>", Specials::parse);
    for (const TokenId id : ids) require(id >= 0 && static_cast<uint32_t>(id) < model.config().n_vocab, "an id past the vocabulary");
    tokenizer.decode(ids);
  }, {ExitCode::input, ExitCode::model});
  for (TokenId id = -2; id < 10; ++id) tokenizer.token_bytes(id);
}

// -- .gpt2: sealed, so that what lies behind the checksum is reached --

AlignedBuffer<std::byte> sealed_bytes(std::string_view input) {
  std::string file(input);
  uint64_t length = 0;
  if (input.size() >= 8) std::memcpy(&length, input.data(), 8);
  if (input.size() >= 8 && length <= input.size() - 8) file = sealed(file);
  AlignedBuffer<std::byte> bytes(file.size());
  if (!file.empty()) std::memcpy(bytes.data(), file.data(), file.size());
  return bytes;
}

void run_model_file(std::string_view input) {
  AlignedBuffer<std::byte> bytes = sealed_bytes(input);
  accepts([&] {
    const Model model = Model::from_memory(std::move(bytes), "fuzz.gpt2");
    accepts([&] { verify_checksums(model.file(), "fuzz.gpt2"); }, {ExitCode::model});
    for (const StoredTensor& tensor : model.file().tensors) {
      if (tensor.spec.arrangement != Arrangement::bytes) read_tensor(tensor, model.config());
    }
    use_tokenizer(model);
    compute(model);
  }, {ExitCode::model});
}

AlignedBuffer<std::byte> converted(const std::string& path) {
  MemorySink sink;
  convert_checkpoint(path, {}, sink, nullptr);
  return sink.take();
}

std::string text_of(const AlignedBuffer<std::byte>& bytes) {
  const void* data = bytes.data();
  return {static_cast<const char*>(data), bytes.size()};
}

std::string gguf_path(const std::string& name) { return source_path("tests/data/gguf") + "/" + name + ".gguf"; }

std::vector<std::string> model_file_seeds() {
  return {nano_model_file(), nano_draft_file(), text_of(converted(gguf_path("llama"))), text_of(converted(gguf_path("qwen2")))};
}

std::vector<std::string> model_file_words() {
  return {"\"config.n_layer\":\"", "\"config.n_vocab\":\"", "f32 panels ", "f32 vector ", "u8 bytes ", "int8 panels ", "bf16 qkv ", "int4 panels ", "0x0",
          "48x48", "4294967295", "\"U8\"", "qkv_scaled", "\"gpt2.version\":\"1\"", "\"gpt2.version\":\"2\"", "\"tokenizer.before_text\":\"0,1\"",
          "\"tokenizer.prefix_space\":\"true\"", "tokenizer.added_flags", "\"config.n_kv_head\":\"", "\"config.rotary_dims\":\"", "\"config.windows\":\""};
}

// -- a .gpt2 that goes out: a GGUF that is written opens again; the files of a directory are JSON --

void run_export(std::string_view input) {
  accepts([&] {
    const Model model = Model::from_memory(sealed_bytes(input), "fuzz.gpt2");
    MemorySink sink;
    if (accepts([&] { write_gguf(model, sink, nullptr); }, {ExitCode::model})) {
      const AlignedBuffer<std::byte> written = sink.take();
      require(accepts([&] { GgufFile::parse(written.span(), "fuzz.gguf"); }, {ExitCode::model}), "a GGUF that does not open");
    }
    accepts([&] { foreign_config(model, "float32"); }, {ExitCode::model});
    std::vector<std::pair<std::string, std::string>> files;
    accepts([&] { files = tokenizer_files(model); }, {ExitCode::model});
    for (const auto& [name, content] : files) {
      Json json;
      if (name.ends_with(".json")) require(!read_json(content, json), "a file of JSON that is none");
    }
  }, {ExitCode::model});
}

// -- a model in GGUF: what is accepted becomes a .gpt2 that opens and computes --

void run_gguf_model(std::string_view input) {
  static const std::string path = [] {
    std::string folder = (std::filesystem::temp_directory_path() / "gpt2-fuzz-XXXXXX").string();
    require(mkdtemp(folder.data()) != nullptr, "no temporary folder");
    return folder + "/model.gguf";
  }();
  if (!input.starts_with("GGUF")) return;  // any other file is taken for a checkpoint's folder
  write_file(path, input);
  AlignedBuffer<std::byte> bytes;
  if (!accepts([&] { bytes = converted(path); }, {ExitCode::model, ExitCode::input})) return;
  const Model model = Model::from_memory(std::move(bytes), "fuzz.gpt2");
  use_tokenizer(model);
  compute(model);
}

std::vector<std::string> gguf_model_seeds() {
  std::vector<std::string> seeds;
  for (const char* name : {"gemma", "gpt2", "gptneox", "llama", "llama3", "phi2", "qwen2", "stablelm", "starcoder"}) seeds.push_back(read_file(gguf_path(name)));
  return seeds;
}

std::vector<std::string> gguf_model_words() {
  return {"GGUF", "general.architecture", "gpt2", "llama", ".block_count", ".attention.head_count_kv", ".rope.freq_base", ".rope.scaling.factor",
          ".rope.scaling.type", ".attention.key_length", ".context_length", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.add_space_prefix",
          "tokenizer.ggml.bos_token_id", "tokenizer.chat_template", le32(0), le32(1), le32(3), le32(6), le32(0x7F800000), le32(0x7FC00000), le64(0), le64(1),
          le64(uint64_t{1} << 32)};
}

}  // namespace

const Target kModelFileTarget = {"model_file", run_model_file, model_file_seeds, model_file_words};
const Target kExportTarget = {"export", run_export, model_file_seeds, model_file_words};
const Target kGgufModelTarget = {"gguf_model", run_gguf_model, gguf_model_seeds, gguf_model_words};

}  // namespace gpt2::fuzz
