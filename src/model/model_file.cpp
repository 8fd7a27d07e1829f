#include "src/model/model_file.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "kernels/kernels.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/safetensors.h"
#include "src/model/stored_rows.h"

namespace gpt2 {
namespace {

// A view of mapped bytes as an array; alignment and size have been checked by the caller.
template <class T>
std::span<const T> view_as(std::span<const std::byte> bytes, size_t count) {
  GPT2_CHECK(count <= bytes.size() / sizeof(T));
  const void* data = bytes.data();
  return {static_cast<const T*>(data), count};
}

class Reader final : public MetadataLookup {
 public:
  Reader(std::span<const std::byte> bytes, std::string_view path)
      : bytes_(bytes), path_(path), file_(parse_safetensors(bytes, path)) {
    for (const auto& [key, text] : file_.metadata) metadata_.emplace(key, &text);
    for (const TensorInfo& tensor : file_.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  const std::string* value(std::string_view key) const override {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? nullptr : found->second;
  }

  const std::string& required(std::string_view key) const {
    const std::string* text = value(key);
    if (text == nullptr) fail_model(path_, key, "a value", "none");
    return *text;
  }

  uint64_t required_hash(std::string_view key) const {
    const std::string& text = required(key);
    const auto hash = parse_hex64(text);
    if (!hash) fail_model(path_, key, "16 hexadecimal digits", text);
    return *hash;
  }

  void check_format() const {
    const std::string* format = value(kFormatKey);
    if (format == nullptr || *format != kFormatName) {
      fail_model(path_, "format",
                 "a .gpt2 file, or the directory of a checkpoint (gpt2 convert DIR FILE makes one of it)",
                 "another safetensors file");
    }
    const std::string& version = required(kVersionKey);
    if (version != kPlainVersion && version != kRulesVersion) {
      fail_model(path_, "format version", std::string(kPlainVersion) + " or " + std::string(kRulesVersion),
                 version + " (another gpt2 made this file)");
    }
    for (const auto& [key, text] : metadata_) {
      if (key.starts_with(kBlockPrefix) && (version == kPlainVersion || !is_block_key(key))) {
        fail_model(path_, key, "a key that a file of version " + version + " has", "\"" + *text + "\"");
      }
      if (version == kPlainVersion || !key.starts_with(kTokenizerPrefix) || is_rules_key(key)) continue;
      fail_model(path_, key, "a key that this version knows (a newer gpt2 made this file)", "\"" + *text + "\"");
    }
  }

  bool has_table(std::string_view name) const { return tensors_.contains(name); }

  // The header's own checksum covers every header byte, with the checksum's digits taken as zeros.
  uint64_t check_header_hash() const {
    const std::string& text = required(kHeaderHashKey);
    const uint64_t expected = required_hash(kHeaderHashKey);
    const void* data = bytes_.data();
    std::string header(static_cast<const char*>(data), file_.data_begin);
    const std::string quoted = "\"" + std::string(kHeaderHashKey) + "\":\"";
    const size_t at = header.find(quoted);
    if (at == std::string::npos)
      fail_model(path_, kHeaderHashKey, "the header as the converter wrote it", "another form");
    header.replace(at + quoted.size(), text.size(), text.size(), '0');
    const uint64_t found = xxh3(std::as_bytes(std::span(header)));
    if (found != expected) fail_model(path_, "header checksum", text, hex64(found));
    return expected;
  }

  StoredTensor tensor(const TensorSpec& spec, const Config& config) const {
    StoredTensor stored = find(spec);
    const uint64_t bytes = stored_bytes(stored.spec, stored.dtype, config);
    if (stored.data.size() != bytes) {
      fail_model(path_, spec.name, std::to_string(bytes) + " bytes", std::to_string(stored.data.size()));
    }
    return stored;
  }

  StoredTensor table(std::string_view name) const {
    TensorSpec spec;
    spec.name = name;
    spec.arrangement = Arrangement::bytes;
    return find(spec);
  }

 private:
  // Finds the tensor and reads its metadata: "DTYPE ARRANGEMENT ROWSxCOLS XXH3". Tables say their exact size as ROWSx1.
  StoredTensor find(const TensorSpec& spec) const {
    const auto found = tensors_.find(spec.name);
    if (found == tensors_.end()) fail_model(path_, spec.name, "a tensor of this name", "none");
    const TensorInfo& info = *found->second;
    const std::string& text = required(std::string(kTensorPrefix) + spec.name);
    if (info.dtype != "U8" || info.begin % kLineBytes != 0 || (info.end - info.begin) % kLineBytes != 0) {
      fail_model(path_, spec.name, "U8 on a 64-byte boundary, a multiple of 64 bytes",
                 info.dtype + " at " + std::to_string(info.begin) + ".." + std::to_string(info.end));
    }
    StoredTensor stored;
    stored.spec = spec;
    stored.data = bytes_.subspan(info.begin, info.end - info.begin);
    if (!parse_description(text, stored)) {
      fail_model(path_, spec.name, "\"" + describe(spec) + "\"", "\"" + text + "\"");
    }
    return stored;
  }

  static std::string describe(const TensorSpec& spec) {
    return "DTYPE " + std::string(arrangement_name(spec.arrangement)) + " " + std::to_string(spec.rows) + "x" +
           std::to_string(spec.cols) + " XXH3";
  }

  static bool parse_description(std::string_view text, StoredTensor& stored) {
    std::string_view words[4];
    for (std::string_view& word : words) {
      const size_t space = std::min(text.find(' '), text.size());
      word = text.substr(0, space);
      text.remove_prefix(std::min(space + 1, text.size()));
    }
    TensorSpec& spec = stored.spec;
    if (spec.arrangement == Arrangement::qkv && words[1] == arrangement_name(Arrangement::qkv_scaled)) {
      spec.arrangement = Arrangement::qkv_scaled;
    }
    if (!text.empty() || words[1] != arrangement_name(spec.arrangement)) return false;
    const auto hash = parse_hex64(words[3]);
    if (!hash) return false;
    stored.xxh3 = *hash;
    if (spec.arrangement == Arrangement::bytes) return words[0] == "u8" && parse_table_size(words[2], stored);
    const auto dtype = dtype_from_name(words[0]);
    if (!dtype || (!is_packed(spec.arrangement) && *dtype != DType::f32)) return false;
    stored.dtype = *dtype;
    return words[2] == std::to_string(spec.rows) + "x" + std::to_string(spec.cols);
  }

  // "Nx1": the table's bytes before padding to 64.
  static bool parse_table_size(std::string_view text, StoredTensor& stored) {
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || std::string_view(end, text.data() + text.size()) != "x1") return false;
    if (size > stored.data.size() || stored.data.size() - size >= kLineBytes) return false;
    stored.spec.rows = size;
    stored.spec.cols = 1;
    return true;
  }

  std::span<const std::byte> bytes_;
  std::string_view path_;
  SafetensorsFile file_;
  std::unordered_map<std::string_view, const std::string*> metadata_;
  std::unordered_map<std::string_view, const TensorInfo*> tensors_;
};

template <class T>
std::span<const T> table_as(const StoredTensor& table, std::string_view path) {
  const uint64_t size = table.spec.rows;
  if (size % sizeof(T) != 0) {
    fail_model(path, table.spec.name, "a multiple of " + std::to_string(sizeof(T)) + " bytes", std::to_string(size));
  }
  return view_as<T>(table.data, size / sizeof(T));
}

std::span<const float> vector_of(const StoredTensor& tensor) { return view_as<float>(tensor.data, tensor.spec.rows); }

Panels panels_of(const StoredTensor& tensor, const Config& config) {
  Panels panels;
  panels.data = view_as<unsigned char>(tensor.data, tensor.data.size()).data();
  panels.dtype = tensor.dtype;
  panels.n_rows = static_cast<uint32_t>(packed_rows(tensor.spec, config));
  panels.n_cols = static_cast<uint32_t>(tensor.spec.cols);
  return panels;
}

// Hands out the schema's tensors in order, so that the weights below read like the schema.
class Cursor {
 public:
  Cursor(const std::vector<StoredTensor>& tensors, const Config& config) : tensors_(tensors), config_(config) {}
  const StoredTensor& next() { return tensors_[at_++]; }
  std::span<const float> vector() { return vector_of(next()); }
  Panels panels() { return panels_of(next(), config_); }
  NormWeights norm() {
    NormWeights norm = {vector(), {}, config_.layer_norm_epsilon};
    if (config_.norm == Norm::layer) norm.bias = vector();
    return norm;
  }

 private:
  const std::vector<StoredTensor>& tensors_;
  const Config& config_;
  size_t at_ = 0;
};

Weights view_weights(const Config& config, const std::vector<StoredTensor>& tensors) {
  Cursor in(tensors, config);
  Weights weights;
  if (config.positions == Positions::learned) {
    const StoredTensor& wpe = in.next();
    weights.wpe = {view_as<float>(wpe.data, wpe.spec.rows * wpe.spec.cols).data(), config.n_ctx, config.n_embd,
                   config.n_embd};
  } else {
    weights.frequencies = in.vector();
  }
  weights.h.resize(config.n_layer);
  for (uint32_t i = 0; i < config.n_layer; ++i) {
    LayerWeights& h = weights.h[i];
    h.ln_1 = in.norm();
    const StoredTensor& c_attn = in.next();
    h.attn_c_attn = panels_of(c_attn, config);
    h.attention_scale = c_attn.spec.arrangement == Arrangement::qkv_scaled ? 1.0f : config.attention_scale(i);
    h.attn_c_proj = in.panels();
    h.ln_2 = config.residual == Residual::parallel_one_norm ? h.ln_1 : in.norm();
    h.mlp_c_fc = in.panels();
    h.mlp_c_proj = in.panels();
  }
  weights.ln_f = in.norm();
  weights.wte = in.panels();
  weights.lm_head = config.tied_lm_head && config.n_draft_vocab == 0 ? weights.wte : in.panels();
  return weights;
}

// The tokens of a draft's head.
std::span<const uint32_t> draft_ids(const StoredTensor& table, const Config& config, std::string_view path) {
  const auto ids = table_as<uint32_t>(table, path);
  if (ids.size() != config.n_draft_vocab) {
    fail_model(path, kDraftIds, std::to_string(config.n_draft_vocab) + " ids", std::to_string(ids.size()));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < config.n_vocab && (i == 0 || ids[i] > ids[i - 1])) continue;
    fail_model(path, kDraftIds, "ascending ids below " + std::to_string(config.n_vocab),
               std::to_string(ids[i]) + " as number " + std::to_string(i));
  }
  return ids;
}

// An id that ends texts does so without a token too.
uint32_t n_choices(const Config& config, size_t n_tokens) {
  if (config.n_draft_vocab > 0) return config.n_draft_vocab;
  for (const int32_t id : config.eos_token_ids) n_tokens = std::max(n_tokens, static_cast<size_t>(id) + 1);
  return static_cast<uint32_t>(std::min<size_t>(config.n_vocab, n_tokens));
}

}  // namespace

ModelFile parse_model_file(std::span<const std::byte> bytes, std::string_view path) {
  const Reader reader(bytes, path);
  reader.check_format();
  ModelFile file;
  file.header_hash = reader.check_header_hash();
  file.config = config_from_metadata(reader, path);
  file.source = reader.required(kSourceKey);
  if (const std::string* chat = reader.value(kChatTemplateKey)) file.chat_template = *chat;
  file.tokenizer_hash = reader.required_hash(kTokenizerHashKey);
  for (const TensorSpec& spec : model_schema(file.config)) file.tensors.push_back(reader.tensor(spec, file.config));
  file.weights = view_weights(file.config, file.tensors);
  const size_t first_table = file.tensors.size();
  for (const std::string_view name : kTokenizerTensors) file.tensors.push_back(reader.table(name));
  if (reader.has_table(kAddedFlags)) {
    file.tensors.push_back(reader.table(kAddedFlags));
    file.tokenizer.added_flags = table_as<uint32_t>(file.tensors.back(), path);
  }
  if (reader.has_table(kTokenTexts)) {
    file.tensors.push_back(reader.table(kTokenTexts));
    file.tokenizer.texts = table_as<uint32_t>(file.tensors.back(), path);
  }
  file.tokenizer.rules = rules_from_metadata(reader, path);
  if (file.config.n_draft_vocab > 0) {
    file.tensors.push_back(reader.table(kDraftIds));
    file.weights.draft_ids = draft_ids(file.tensors.back(), file.config, path);
  }
  const StoredTensor* tables = file.tensors.data() + first_table;
  file.tokenizer.bytes = table_as<char>(tables[0], path);
  file.tokenizer.offsets = table_as<uint32_t>(tables[1], path);
  file.tokenizer.merges = table_as<MergeSlot>(tables[2], path);
  const size_t n_offsets = file.tokenizer.offsets.size();
  const size_t n_tokens = n_offsets > 0 ? n_offsets - 1 : 0;
  file.roles = roles_from_metadata(reader, n_tokens, path);
  file.weights.n_choices = n_choices(file.config, n_tokens);
  file.tokenizer.byte_tokens = table_as<uint32_t>(tables[3], path);
  file.tokenizer.special_tokens = table_as<uint32_t>(tables[4], path);
  return file;
}

void verify_checksums(const ModelFile& file, std::string_view path) {
  for (const StoredTensor& tensor : file.tensors) {
    const uint64_t found = xxh3(tensor.data);
    if (found != tensor.xxh3) fail_model(path, tensor.spec.name, "checksum " + hex64(tensor.xxh3), hex64(found));
  }
}

LogicalTensor read_tensor(const StoredTensor& tensor, const Config& config) {
  const TensorSpec& spec = tensor.spec;
  LogicalTensor out;
  if (spec.arrangement == Arrangement::vector || spec.arrangement == Arrangement::rows) {
    const auto values = view_as<float>(tensor.data, spec.rows * spec.cols);
    out.values.assign(values.begin(), values.end());
    return out;
  }
  const StoredRows rows(tensor, config);
  out.values.resize(spec.rows * spec.cols);
  if (!spec.bias.empty()) out.bias.resize(spec.rows);
  for (uint64_t row = 0; row < spec.rows; ++row) {
    rows.read(row, out.values.data() + row * spec.cols);
    if (!out.bias.empty()) out.bias[row] = rows.bias(row);
  }
  return out;
}

}  // namespace gpt2
