#include "src/convert/convert.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include "src/base/error.h"
#include "src/convert/family_source.h"
#include "src/convert/keep_types.h"
#include "src/convert/model_source.h"
#include "src/convert/parameter_count.h"
#include "src/convert/smoothing.h"
#include "src/convert/warnings.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {
namespace {

// A source whose head has the rows of some tokens only.
class DraftSource final : public ParameterSource {
 public:
  DraftSource(ParameterSource& source, TensorSpec head, std::span<const uint32_t> ids)
      : source_(source), head_(std::move(head)), ids_(ids) {}

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    if (spec.name != kDraftHead) return source_.read_rows(spec, first, count, out);
    for (uint64_t i = 0; i < count; ++i) source_.read_rows(head_, ids_[first + i], 1, out + i * spec.cols);
  }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    if (name != head_.bias || ids_.empty()) return source_.read_vector(name, first, count, out);
    for (uint64_t i = 0; i < count; ++i) source_.read_vector(name, ids_[first + i], 1, out + i);
  }
  void done(const TensorSpec& spec) override { source_.done(spec); }

 private:
  ParameterSource& source_;
  TensorSpec head_;
  std::span<const uint32_t> ids_;
};

// The source's own name, however its path was written.
std::string name_of(const std::string& source) {
  std::error_code error;
  std::string path = std::filesystem::absolute(source, error).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return std::filesystem::path(path).filename().string();
}

// The roles that a token has though its text does not say so.
TokenRoles unsaid_roles(const TokenizerData& tokenizer, const std::string& path) {
  const Tokenizer words(tokenizer.tables(), path);
  TokenRoles roles = tokenizer.roles;
  for (size_t i = 0; i < kTokenRoles; ++i) {
    if (roles.ids[i] == role_by_text(words, token_role(i))) roles.ids[i] = -1;
  }
  return roles;
}

}  // namespace

std::vector<uint32_t> frequent_tokens(const Tokenizer& tokenizer, std::span<const int32_t> eos_token_ids,
                                      std::string_view text, uint32_t n) {
  if (n > tokenizer.n_tokens()) {
    fail(ExitCode::input, "--draft-vocab: expected at most the tokenizer's " + std::to_string(tokenizer.n_tokens()) +
                              " tokens, found " + std::to_string(n));
  }
  std::vector<uint64_t> counts(tokenizer.n_tokens(), 0);
  for (const int32_t token : tokenizer.encode(text)) ++counts[static_cast<size_t>(token)];
  for (const int32_t eos : eos_token_ids) {
    if (static_cast<size_t>(eos) < counts.size())
      counts[static_cast<size_t>(eos)] = std::numeric_limits<uint64_t>::max();
  }
  std::vector<uint32_t> ids(counts.size());
  std::iota(ids.begin(), ids.end(), 0u);
  std::stable_sort(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
  ids.resize(n);
  std::sort(ids.begin(), ids.end());
  return ids;
}

namespace {

// The matrices that keep their codes, and the values of the others as `values` has them.
class KeptSource final : public ParameterSource, public CodeSource {
 public:
  KeptSource(ParameterSource& values, CodeSource& codes) : values_(values), codes_(codes) {}

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override {
    values_.read_rows(spec, first, count, out);
  }
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override {
    values_.read_vector(name, first, count, out);
  }
  void done(const TensorSpec& spec) override { values_.done(spec); }
  std::optional<DType> code_type(const TensorSpec& spec) override { return codes_.code_type(spec); }
  void read_codes(const TensorSpec& spec, uint64_t row, int8_t* codes, uint16_t* scales) override {
    codes_.read_codes(spec, row, codes, scales);
  }

 private:
  ParameterSource& values_;
  CodeSource& codes_;
};

// The type that keeps a matrix's values; int8 where none does.
DType kept_type(const TensorSpec& spec, FamilySource& source) {
  if (const std::optional<DType> type = source.code_type(spec)) return *type;
  const std::string_view stored = source.stored_type(spec);
  if (stored == "BF16") return DType::bf16;
  return stored == "F32" || stored == "F16" ? DType::f32 : DType::int8;
}

// What becomes of the matrices of each type, for people.
std::string types_text(const Config& config, FamilySource& source, const WriteOptions& options) {
  std::map<std::string, uint64_t> counts;
  for (const TensorSpec& spec : model_schema(config)) {
    if (!is_packed(spec.arrangement)) continue;
    const DType dtype = matrix_dtype(spec.name, options);
    const std::string_view stored = source.stored_type(spec);
    const bool same = source.code_type(spec) == dtype || (stored == "BF16" && dtype == DType::bf16) ||
                      dtype == DType::f32;
    ++counts[std::string(stored.empty() ? "mixed" : stored) + " as " + std::string(dtype_name(dtype)) +
             (same ? "" : " from decoded values")];
  }
  std::string text;
  for (const auto& [what, n] : counts) text += (text.empty() ? "" : ", ") + std::to_string(n) + " " + what;
  return text;
}

// Makes rules of the kept types, before those of `options`; of `smoothed` those that leave kept codes alone.
void keep_types(const Config& config, FamilySource& source, WriteOptions& options, WriteOptions& smoothed) {
  std::vector<KeepRule> rules;
  for (const TensorSpec& spec : model_schema(config)) {
    if (is_packed(spec.arrangement)) rules.push_back({spec.name, kept_type(spec, source)});
  }
  options.keep.insert(options.keep.begin(), rules.begin(), rules.end());
  smoothed = options;
  for (const TensorSpec& spec : model_schema(config)) {
    if (!is_packed(spec.arrangement) || source.code_type(spec) != matrix_dtype(spec.name, options)) continue;
    smoothed.keep.push_back({spec.name, DType::f32});
  }
}

// `keeps`: whether a quantised source keeps its types.
KeptReport convert(const std::string& path, const ConvertOptions& options, const bool keeps, ByteSink& sink,
                   const Progress& progress) {
  const std::unique_ptr<ModelSource> source = ModelSource::open(path);
  Config config = source->config();
  std::vector<std::string> warnings = source->warnings();
  TokenizerData tokenizer = build_tokenizer(source->read_vocabulary(), config.n_vocab);
  warnings.insert(warnings.end(), tokenizer.warnings.begin(), tokenizer.warnings.end());
  WriteOptions write_options;
  write_options.dtype = options.dtype.value_or(source->is_quantised() ? DType::int8 : DType::f32);
  write_options.keep = options.keep;
  write_options.source = name_of(path);
  write_options.roles = unsaid_roles(tokenizer, path);
  write_options.chat_template = source->read_chat_template(warnings);
  const TensorSpec head = model_schema(config).back();  // wte where it is tied
  if (options.draft_vocab > 0) {
    const Tokenizer words(tokenizer.tables(), path);
    write_options.draft_ids = frequent_tokens(words, config.eos_token_ids, options.draft_text, options.draft_vocab);
    config.n_draft_vocab = options.draft_vocab;
  }
  KeptReport result;
  WriteOptions smoothed_options = write_options;
  auto* family = dynamic_cast<FamilySource*>(&source->parameters());
  const bool kept = keeps && source->is_quantised() && family != nullptr && options.draft_vocab == 0;
  if (kept) {
    keep_types(config, *family, write_options, smoothed_options);
    result.types = types_text(config, *family, write_options);
  }
  SmoothedSource smoothed(config, source->parameters(), smoothed_options);
  DraftSource reduced(smoothed, head, write_options.draft_ids);
  std::optional<KeptSource> with_codes;
  if (kept) with_codes.emplace(smoothed, *family);
  ParameterSource& parameters = kept ? static_cast<ParameterSource&>(*with_codes) : reduced;
  std::vector<std::string> damage;
  for (const NonFinite& tensor : write_model(config, tokenizer.tables(), parameters, write_options, sink, progress)) {
    damage.push_back(printable(path, 400) + ": " + tensor.name + ": " + std::to_string(tensor.count) +
                     " weights are not finite: every text that meets them will fail");
  }
  add_first_few(warnings, damage, "tensors with weights that are not finite");
  source->check_unchanged();
  result.report = {config, count_parameters(config), std::move(warnings)};
  return result;
}

}  // namespace

ConvertReport convert_checkpoint(const std::string& path, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress) {
  return convert(path, options, false, sink, progress).report;
}

KeptReport convert_keeping_types(const std::string& path, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress) {
  GPT2_CHECK(!options.dtype);
  return convert(path, options, true, sink, progress);
}

}  // namespace gpt2
