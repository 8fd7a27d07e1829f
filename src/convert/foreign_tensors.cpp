#include "src/convert/foreign_tensors.h"

#include <algorithm>
#include <bit>

#include "src/base/error.h"
#include "src/convert/row_move.h"
#include "src/model/schema.h"

namespace gpt2 {
namespace {

// "h.12.ln_1.weight" without layer and kind: "h.*.ln_1".
std::string rule_of(std::string_view ours) {
  std::string rule(ours.substr(0, ours.rfind('.')));
  if (rule.starts_with("h.")) rule.replace(2, rule.find('.', 2) - 2, "*");
  return rule;
}

std::string their_name(const Architecture& names, const TensorRule& rule, uint32_t layer) {
  std::string name(rule.theirs);
  if (const size_t star = name.find('*'); star != std::string::npos) name.replace(star, 1, std::to_string(layer));
  return rule.ours == "lm_head" ? name : std::string(names.prefix) + name;
}

bool has_biases(const StoredRows& stored, uint64_t begin, uint64_t count) {
  for (uint64_t row = begin; row < begin + count; ++row) {
    if (std::bit_cast<uint32_t>(stored.bias(row)) != 0) return true;
  }
  return false;
}

BiasUse use_of(std::string_view rule, const BiasUses& uses) {
  if (rule == "h.*.attn.c_attn") return uses.attention_inputs;
  if (rule == "h.*.attn.c_proj") return uses.attention_output;
  return rule.starts_with("h.") ? uses.mlp : BiasUse::always;
}

}  // namespace

void ForeignTensor::read(uint64_t row, float* values) const {
  if (kind_ == Kind::matrix && move_ == Move::skip_two && row < 2) {
    std::fill_n(values, cols(), 0.0f);
    return;
  }
  if (kind_ == Kind::matrix) return stored_->read(begin_ + our_row(move_, *config_, row), values);
  for (uint64_t i = 0; i < cols(); ++i) {
    const uint64_t ours_row = begin_ + our_row(move_, *config_, i);
    if (kind_ == Kind::bias) {
      values[i] = stored_->bias(ours_row);
    } else {
      stored_->read(ours_row, values + i);
      if (move_ == Move::add_one) values[i] -= 1;
    }
  }
}

bool ForeignTensor::read_codes(uint64_t row, int8_t* codes, uint16_t* scales) const {
  return stored_->read_codes(begin_ + our_row(move_, *config_, row), codes, scales);
}

bool has_biases(const ModelFile& file, std::string_view ours) {
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.spec.bias.empty() || rule_of(tensor.spec.name) != ours) continue;
    if (has_biases(StoredRows(tensor, file.config), 0, tensor.spec.rows)) return true;
  }
  return false;
}

ForeignTensors::ForeignTensors(const ModelFile& file, const Architecture& names, const BiasUses& uses,
                               std::string_view path)
    : config_(file.config) {
  if (config_.n_draft_vocab > 0) {
    fail_model(path, kDraftHead, "a head of all " + std::to_string(config_.n_vocab) + " tokens",
               "a draft's of " + std::to_string(config_.n_draft_vocab));
  }
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.spec.arrangement == Arrangement::bytes || tensor.spec.name == kFrequencies) continue;
    add(stored_.emplace_back(tensor, config_), names, uses, path);
  }
}

void ForeignTensors::add(const StoredRows& stored, const Architecture& names, const BiasUses& uses,
                         std::string_view path) {
  const TensorSpec& spec = stored.spec();
  const std::string rule_name = rule_of(spec.name), kind = spec.name.substr(spec.name.rfind('.'));
  std::vector<uint64_t> done;  // parts, by where they begin: the first rule for each counts
  for (const TensorRule& rule : names.tensors) {
    if (rule.ours != rule_name) continue;
    const RowRange range = rows_of(rule.part, config_, spec.rows);
    if (std::find(done.begin(), done.end(), range.begin) != done.end()) continue;
    done.push_back(range.begin);
    ForeignTensor tensor;
    tensor.name = their_name(names, rule, spec.layer) + kind;
    tensor.ours = spec.name;
    tensor.is_block_matrix = !spec.bias.empty() && spec.name.starts_with("h.");
    tensor.stored_ = &stored;
    tensor.config_ = &config_;
    tensor.move_ = rule.move;
    tensor.begin_ = range.begin;
    const uint64_t n_rows = range.count + (rule.move == Move::skip_two ? 2 : 0);
    const bool is_vector = spec.arrangement == Arrangement::vector;
    tensor.kind_ = is_vector ? ForeignTensor::Kind::vector : ForeignTensor::Kind::matrix;
    tensor.shape = is_vector ? std::vector{n_rows} : std::vector{n_rows, spec.cols};
    tensors_.push_back(tensor);
    if (spec.bias.empty()) continue;
    const BiasUse use = use_of(rule_name, uses);
    const bool used = use != BiasUse::always && has_biases(stored, range.begin, range.count);
    tensor.name = their_name(names, rule, spec.layer) + ".bias";
    if (used && use == BiasUse::never) fail_model(path, spec.bias, "zeros (the format has no bias here)", "others");
    if (use != BiasUse::always && !used) continue;
    tensor.ours = spec.bias;
    tensor.is_block_matrix = false;
    tensor.kind_ = ForeignTensor::Kind::bias;
    tensor.shape = {range.count};
    tensors_.push_back(std::move(tensor));
  }
  if (done.empty()) fail_model(path, spec.name, "a tensor that " + std::string(names.model_type) + " has", "this one");
}

}  // namespace gpt2
