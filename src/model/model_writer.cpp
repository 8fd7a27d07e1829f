#include "src/model/model_writer.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/float_types.h"
#include "kernels/panel_row.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/json.h"
#include "src/io/safetensors.h"
#include "src/model/code_source.h"
#include "src/model/row_map.h"

namespace gpt2 {
namespace {

constexpr std::string_view kNoHash = "0000000000000000";

struct Planned {
  TensorSpec spec;
  DType dtype = DType::f32;
  uint64_t begin = 0, bytes = 0;     // from the start of the data
  std::span<const std::byte> table;  // tokenizer tables only
  uint64_t xxh3 = 0;
};

std::span<const std::byte> table_bytes(const TokenizerTables& t, size_t index) {
  switch (index) {
    case 0: return std::as_bytes(t.bytes);
    case 1: return std::as_bytes(t.offsets);
    case 2: return std::as_bytes(t.merges);
    case 3: return std::as_bytes(t.byte_tokens);
    default: return std::as_bytes(t.special_tokens);
  }
}

class Writer {
 public:
  Writer(const Config& config, const TokenizerTables& tokenizer, ParameterSource& source, const WriteOptions& options,
         ByteSink& sink, const Progress& progress)
      : config_(config), source_(source), codes_(dynamic_cast<CodeSource*>(&source)), options_(options), sink_(sink),
        progress_(progress) {
    for (TensorSpec& spec : model_schema(config)) {
      const DType dtype = is_packed(spec.arrangement) ? matrix_dtype(spec.name, options) : DType::f32;
      const uint64_t bytes = stored_bytes(spec, dtype, config);
      plan_.push_back({std::move(spec), dtype, data_bytes_, bytes, {}, 0});
      data_bytes_ += bytes;
    }
    for (size_t i = 0; i < std::size(kTokenizerTensors); ++i)
      plan_table(kTokenizerTensors[i], table_bytes(tokenizer, i));
    if (!tokenizer.added_flags.empty()) plan_table(kAddedFlags, std::as_bytes(tokenizer.added_flags));
    if (!tokenizer.texts.empty()) plan_table(kTokenTexts, std::as_bytes(tokenizer.texts));
    rules_ = rules_metadata(tokenizer.rules);
    block_ = block_metadata(config);
    const bool plain = tokenizer.added_flags.empty() && rules_.empty() && block_.empty();
    version_ = plain ? kPlainVersion : kRulesVersion;
    GPT2_CHECK(options.draft_ids.size() == config.n_draft_vocab);
    if (config.n_draft_vocab > 0) plan_table(kDraftIds, std::as_bytes(std::span(options.draft_ids)));
    tokenizer_hash_ = Tokenizer(tokenizer, options.source).hash();
  }

  std::vector<NonFinite> run() {
    for (Planned& tensor : plan_) choose_arrangement(tensor);
    data_begin_ = header().size();
    sink_.resize(data_begin_ + data_bytes_);
    for (Planned& tensor : plan_) write_tensor(tensor);
    std::string text = header();
    GPT2_CHECK(text.size() == data_begin_);
    const std::string quoted = "\"" + std::string(kHeaderHashKey) + "\":\"";
    text.replace(text.find(quoted) + quoted.size(), kNoHash.size(), hex64(xxh3(std::as_bytes(std::span(text)))));
    sink_.write(0, std::as_bytes(std::span(text)));
    report(data_bytes_);
    return std::move(non_finite_);
  }

 private:
  void plan_table(std::string_view name, std::span<const std::byte> table) {
    TensorSpec spec;
    spec.name = name;
    spec.arrangement = Arrangement::bytes;
    spec.rows = table.size();
    spec.cols = 1;
    const uint64_t bytes = round_up(table.size(), kLineBytes);
    plan_.push_back({std::move(spec), DType::f32, data_bytes_, bytes, table, 0});
    data_bytes_ += bytes;
  }

  // The attention scale goes into q where that changes no bit of what the scores would be: a power of two, and no
  // weight that would become subnormal or overflow.
  void choose_arrangement(Planned& tensor) {
    if (tensor.spec.arrangement != Arrangement::qkv) return;
    const float scale = config_.attention_scale(tensor.spec.layer);
    int exponent = 0;
    if (std::frexp(scale, &exponent) != 0.5f) return;
    if (has_codes(tensor) && !scales_are_exact(tensor, scale)) return;
    std::vector<float> row(tensor.spec.cols);
    const auto exact = [scale](float w) { return w == 0.0f || std::isnormal(w * scale); };
    const uint64_t n_queries = uint64_t{config_.n_head} * config_.d_head;
    for (uint64_t i = 0; i < n_queries; ++i) {
      source_.read_rows(tensor.spec, i, 1, row.data());
      if (!std::all_of(row.begin(), row.end(), exact)) return;
    }
    row.resize(n_queries);
    source_.read_vector(tensor.spec.bias, 0, n_queries, row.data());
    if (std::all_of(row.begin(), row.end(), exact)) tensor.spec.arrangement = Arrangement::qkv_scaled;
  }

  // Whether the codes of the source become the matrix's as they are.
  bool has_codes(const Planned& tensor) const {
    return codes_ != nullptr && is_packed(tensor.spec.arrangement) && codes_->code_type(tensor.spec) == tensor.dtype;
  }

  // Whether f16 holds the scales of all queries times the attention scale.
  bool scales_are_exact(const Planned& tensor, float factor) const {
    std::vector<int8_t> codes(padded_k(tensor.dtype, tensor.spec.cols));
    std::vector<uint16_t> scales(groups_of(tensor.dtype, tensor.spec.cols));
    for (uint64_t row = 0; row < uint64_t{config_.n_head} * config_.d_head; ++row) {
      codes_->read_codes(tensor.spec, row, codes.data(), scales.data());
      for (const uint16_t scale : scales) {
        const float product = f16_to_float(scale) * factor;
        if (f16_to_float(float_to_f16(product)) != product) return false;
      }
    }
    return true;
  }

  void write_tensor(Planned& tensor) {
    hash_.reset();
    seen_ = {};
    at_ = data_begin_ + tensor.begin;
    switch (tensor.spec.arrangement) {
      case Arrangement::bytes: put(tensor.table); break;
      case Arrangement::vector: write_vector(tensor.spec); break;
      case Arrangement::rows: write_rows(tensor.spec); break;
      default:
        if (has_codes(tensor)) {
          write_codes(tensor);
        } else {
          write_panels(tensor);
        }
        break;
    }
    constexpr std::byte zeros[kLineBytes] = {};
    put({zeros, data_begin_ + tensor.begin + tensor.bytes - at_});
    tensor.xxh3 = hash_.digest();
    if (seen_.non_finite > 0) non_finite_.push_back({tensor.spec.name, seen_.non_finite});
    source_.done(tensor.spec);
  }

  void put(std::span<const std::byte> bytes) {
    sink_.write(at_, bytes);
    hash_.update(bytes);
    at_ += bytes.size();
    report(at_ - data_begin_);
  }

  void put_floats(const std::vector<float>& values) { put(std::as_bytes(std::span(values))); }

  void write_vector(const TensorSpec& spec) {
    std::vector<float> values(spec.rows);
    source_.read_vector(spec.name, 0, spec.rows, values.data());
    seen_.look(values);
    put_floats(values);
  }

  void write_rows(const TensorSpec& spec) {
    std::vector<float> values(spec.cols);
    for (uint64_t row = 0; row < spec.rows; ++row) {
      source_.read_rows(spec, row, 1, values.data());
      seen_.look(values);
      put_floats(values);
    }
  }

  void write_panels(const Planned& tensor) {
    const TensorSpec& spec = tensor.spec;
    const RowMap map(spec, config_);
    std::vector<float> block(kPanelRows * spec.cols);
    std::vector<std::byte> panel(panel_bytes(tensor.dtype, spec.cols));
    float bias[kPanelRows];
    void* bytes = panel.data();
    for (uint64_t first = 0; first < packed_rows(spec, config_); first += kPanelRows) {
      read_block(spec, map, first, block, bias);
      seen_.look(bias, kPanelRows);
      seen_.largest = seen_.look(block.data(), block.size());
      pack_panel(tensor.dtype, block.data(), bias, spec.cols, static_cast<unsigned char*>(bytes));
      put(panel);
    }
    check_scales(tensor);
  }

  // As write_panels, of codes and scales that are there.
  void write_codes(const Planned& tensor) {
    const TensorSpec& spec = tensor.spec;
    const RowMap map(spec, config_);
    std::vector<std::byte> panel(panel_bytes(tensor.dtype, spec.cols));
    std::vector<int8_t> codes(padded_k(tensor.dtype, spec.cols));
    std::vector<uint16_t> scales(groups_of(tensor.dtype, spec.cols));
    for (uint64_t first = 0; first < packed_rows(spec, config_); first += kPanelRows) {
      std::fill(panel.begin(), panel.end(), std::byte{0});
      for (uint64_t lane = 0; lane < kPanelRows; ++lane) {
        const PackedRow row = map[first + lane];
        std::fill(codes.begin(), codes.end(), int8_t{0});
        std::fill(scales.begin(), scales.end(), uint16_t{0});
        float bias = 0;
        if (row.logical >= 0) {
          const auto logical = static_cast<uint64_t>(row.logical);
          codes_->read_codes(spec, logical, codes.data(), scales.data());
          if (!spec.bias.empty()) source_.read_vector(spec.bias, logical, 1, &bias);
        }
        for (uint16_t& scale : scales) {
          if (row.factor != 1.0f) scale = float_to_f16(f16_to_float(scale) * row.factor);
          if (!std::isfinite(f16_to_float(scale))) ++seen_.non_finite;
        }
        bias *= row.factor;
        seen_.look(&bias, 1);
        void* bytes = panel.data();
        std::memcpy(panel.data() + lane * sizeof bias, &bias, sizeof bias);
        pack_codes(tensor.dtype, codes.data(), scales.data(), spec.cols, lane, static_cast<unsigned char*>(bytes));
      }
      put(panel);
    }
  }

  // The largest scale of all groups decides: a group of small weights in a matrix of larger ones may vanish.
  void check_scales(const Planned& tensor) const {
    if (layout_of(tensor.dtype).k_per_group == 0 || seen_.largest == 0.0f) return;
    const float scale = seen_.largest / largest_code(tensor.dtype);
    if (scale >= kSmallestScale && scale <= kLargestScale) return;
    fail_model(options_.source, tensor.spec.name,
               "weights whose " + std::string(dtype_name(tensor.dtype)) + " scales f16 holds (--keep '" +
                   tensor.spec.name + "=bf16' stores them without)",
               "a largest of " + json_number(seen_.largest));
  }

  // 16 packed rows: runs of consecutive logical rows are read at once, padding stays zero.
  void read_block(const TensorSpec& spec, const RowMap& map, uint64_t first, std::vector<float>& block,
                  float (&bias)[kPanelRows]) {
    std::fill(block.begin(), block.end(), 0.0f);
    std::fill(std::begin(bias), std::end(bias), 0.0f);
    for (uint64_t lane = 0; lane < kPanelRows;) {
      const PackedRow row = map[first + lane];
      uint64_t end = lane + 1;
      if (row.logical >= 0) {
        while (end < kPanelRows && map[first + end].logical == row.logical + static_cast<int64_t>(end - lane)) ++end;
        const auto logical = static_cast<uint64_t>(row.logical);
        source_.read_rows(spec, logical, end - lane, block.data() + lane * spec.cols);
        if (!spec.bias.empty()) source_.read_vector(spec.bias, logical, end - lane, bias + lane);
        for (uint64_t i = lane * spec.cols; i < end * spec.cols; ++i) block[i] *= row.factor;
        for (uint64_t i = lane; i < end; ++i) bias[i] *= row.factor;
      }
      lane = end;
    }
  }

  // With the checksums as they are known by now; its length does not depend on them.
  std::string header() const {
    std::vector<std::pair<std::string, std::string>> metadata;
    metadata.emplace_back(kFormatKey, kFormatName);
    metadata.emplace_back(kVersionKey, version_);
    metadata.emplace_back(kHeaderHashKey, kNoHash);
    metadata.emplace_back(kTokenizerHashKey, hex64(tokenizer_hash_));
    metadata.emplace_back(kSourceKey, options_.source);
    for (auto& item : config_metadata(config_)) metadata.push_back(std::move(item));
    metadata.insert(metadata.end(), block_.begin(), block_.end());
    metadata.insert(metadata.end(), rules_.begin(), rules_.end());
    for (auto& item : roles_metadata(options_.roles)) metadata.push_back(std::move(item));
    if (!options_.chat_template.empty()) metadata.emplace_back(kChatTemplateKey, options_.chat_template);
    std::vector<TensorInfo> infos;
    for (const Planned& tensor : plan_) {
      const TensorSpec& spec = tensor.spec;
      const std::string_view dtype = spec.arrangement == Arrangement::bytes ? "u8" : dtype_name(tensor.dtype);
      metadata.emplace_back(std::string(kTensorPrefix) + spec.name,
                            std::string(dtype) + " " + std::string(arrangement_name(spec.arrangement)) + " " +
                                std::to_string(spec.rows) + "x" + std::to_string(spec.cols) + " " + hex64(tensor.xxh3));
      infos.push_back({spec.name, "U8", {tensor.bytes}, tensor.begin, tensor.begin + tensor.bytes});
    }
    return safetensors_header(metadata, infos, kDataAlignment);
  }

  void report(uint64_t done) const {
    if (progress_) progress_(done, data_bytes_);
  }

  const Config& config_;
  ParameterSource& source_;
  CodeSource* codes_;  // the source's, if it has any
  const WriteOptions& options_;
  ByteSink& sink_;
  const Progress& progress_;
  std::vector<Planned> plan_;
  std::vector<std::pair<std::string, std::string>> block_, rules_;
  std::string_view version_ = kPlainVersion;
  uint64_t data_bytes_ = 0, data_begin_ = 0, at_ = 0, tokenizer_hash_ = 0;
  Xxh3Stream hash_;

  // What the tensor at hand holds.
  struct Seen {
    uint64_t non_finite = 0;
    float largest = 0;  // magnitude of its finite weights, biases apart

    float look(const float* values, size_t n) {
      float most = largest;
      for (size_t i = 0; i < n; ++i) {
        const float magnitude = std::fabs(values[i]);
        if (!std::isfinite(magnitude)) {
          ++non_finite;
        } else if (magnitude > most) {
          most = magnitude;
        }
      }
      return most;
    }
    void look(const std::vector<float>& values) { look(values.data(), values.size()); }
  };
  Seen seen_;
  std::vector<NonFinite> non_finite_;
};

}  // namespace

DType matrix_dtype(std::string_view name, const WriteOptions& options) {
  DType dtype = options.dtype == DType::int4 && name == "wte.weight" ? DType::int8 : options.dtype;
  for (const KeepRule& rule : options.keep) {
    if (fnmatch(rule.pattern.c_str(), std::string(name).c_str(), 0) == 0) dtype = rule.dtype;
  }
  return dtype;
}

std::vector<NonFinite> write_model(const Config& config, const TokenizerTables& tokenizer, ParameterSource& source,
                                   const WriteOptions& options, ByteSink& sink, const Progress& progress) {
  return Writer(config, tokenizer, source, options, sink, progress).run();
}

}  // namespace gpt2
