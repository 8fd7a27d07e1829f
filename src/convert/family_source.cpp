#include "src/convert/family_source.h"

#include <algorithm>
#include <set>

#include "src/base/error.h"
#include "src/convert/gguf_blocks.h"
#include "src/convert/row_move.h"
#include "src/convert/warnings.h"
#include "src/model/schema.h"

namespace gpt2 {
namespace {

// "h.12.ln_1.weight": the rules' name "h.*.ln_1", the layer, the kind.
struct OurName {
  std::string rule, layer, kind;
};

OurName split(std::string_view name) {
  OurName ours;
  const size_t dot = name.rfind('.');
  ours.kind = name.substr(dot);
  ours.rule = name.substr(0, dot);
  if (!name.starts_with("h.")) return ours;
  const size_t end = name.find('.', 2);
  ours.layer = name.substr(2, end - 2);
  ours.rule.replace(2, end - 2, "*");
  return ours;
}

bool is_head(std::string_view name) {
  return name == "lm_head.weight" || name == "embed_out.weight" || name == "output.weight";
}

std::string their_name(std::string_view rule, const OurName& ours) {
  std::string name(rule);
  const size_t star = name.find('*');
  if (star != std::string::npos) name.replace(star, 1, ours.layer);
  return name + ours.kind;
}

}  // namespace

FamilySource::FamilySource(const NamedTensors& tensors, const Architecture& architecture, ConfigFile& file,
                           std::vector<std::string>& warnings)
    : tensors_(tensors), architecture_(architecture), file_(file) {
  settle_head(warnings);
  for (const TensorSpec& spec : model_schema(file.config)) {
    if (spec.name == kFrequencies) continue;
    add_tensor(spec.name, spec.rows, spec.cols, false);
    if (!spec.bias.empty()) add_tensor(spec.bias, spec.rows, 1, !needs_bias(split(spec.bias).rule));
  }
  check_unused(warnings);
}

// Whether the configuration says that a matrix has a bias; elsewhere one counts where it is there.
bool FamilySource::needs_bias(std::string_view rule) const {
  if (rule == "h.*.attn.c_attn") return file_.biases.attention_inputs;
  if (rule == "h.*.attn.c_proj") return file_.biases.attention_output;
  return rule.starts_with("h.") ? file_.biases.mlp : file_.config.head_bias;
}

void FamilySource::settle_head(std::vector<std::string>& warnings) {
  if (!file_.config.tied_lm_head) return;
  const NamedTensor *wte = nullptr, *head = nullptr;
  for (const TensorRule& rule : architecture_.tensors) {
    const NamedTensor* found = tensors_.find(std::string(rule.theirs) + ".weight");
    if (rule.ours == "wte" && found != nullptr) wte = found;
    if (rule.ours == "lm_head" && found != nullptr) head = found;
  }
  if (wte == nullptr || head == nullptr || same_values(*wte, *head)) return;
  file_.config.tied_lm_head = false;
  warnings.push_back(printable(head->file, 400) + ": " + printable(head->full_name) + " differs from " +
                     printable(wte->full_name) + ": the head is not tied, whatever config.json says");
}

void FamilySource::add_tensor(const std::string& name, uint64_t rows, uint64_t cols, bool optional) {
  const OurName ours = split(name);
  std::vector<Piece>& pieces = pieces_[name];
  std::string missing;
  for (const TensorRule& rule : architecture_.tensors) {
    if (rule.ours != ours.rule) continue;
    const RowRange range = rows_of(rule.part, file_.config, rows);
    Piece piece{nullptr, range.begin, range.count};
    const auto is_same_part = [&](const Piece& p) { return p.begin == piece.begin; };
    const auto known = std::find_if(pieces.begin(), pieces.end(), is_same_part);
    if (known != pieces.end() && known->tensor != nullptr) continue;
    const std::string theirs = their_name(rule.theirs, ours);
    piece.tensor = tensors_.find(theirs);
    piece.move = rule.move;
    if (piece.tensor != nullptr) check_shape(*piece.tensor, piece.count, cols, rule.move);
    if (piece.tensor == nullptr && missing.empty()) missing = theirs;
    if (known == pieces.end()) {
      pieces.push_back(piece);
    } else {
      *known = piece;
    }
  }
  const bool whole = std::all_of(pieces.begin(), pieces.end(), [](const Piece& p) { return p.tensor != nullptr; });
  if (optional || (whole && !pieces.empty())) return;
  fail_model(tensors_.origin(), missing.empty() ? name : missing, "a tensor", "none");
}

void FamilySource::check_shape(const NamedTensor& tensor, uint64_t rows, uint64_t cols, Move move) const {
  std::vector<uint64_t> shape = {rows + (move == Move::skip_two ? 2 : 0)};
  if (tensor.shape.size() != 1 || cols > 1) shape.push_back(cols);
  if (tensor.shape != shape) {
    fail_model(tensor.file, tensor.full_name, "shape " + shape_text(shape), shape_text(tensor.shape));
  }
  if (!tensor.is_float()) fail_model(tensor.file, tensor.full_name, "F32, F16, BF16 or F64", tensor.dtype);
}

// Buffers are left out silently, as is a head that equals a tied wte; layers that the configuration does not have are
// an error.
void FamilySource::check_unused(std::vector<std::string>& warnings) const {
  std::set<const NamedTensor*> used;
  for (const auto& [name, pieces] : pieces_) {
    for (const Piece& piece : pieces) used.insert(piece.tensor);
  }
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : tensors_.all()) {
    if (used.contains(&tensor)) continue;
    const std::string_view known = name;  // clang 14 cannot capture a structured binding
    const auto is_end = [known](std::string_view end) { return known.ends_with(end); };
    if (std::any_of(architecture_.buffers.begin(), architecture_.buffers.end(), is_end)) continue;
    if (file_.config.tied_lm_head && is_head(name)) continue;
    if (architecture_.complete) {
      fail_model(tensor.file, tensor.full_name, "a tensor of " + std::string(architecture_.model_type),
                 "one that would be left out");
    }
    const std::string past = std::to_string(file_.config.n_layer) + ".";
    if (name.starts_with("h." + past) || name.find("layers." + past) != std::string::npos) {
      const std::string last = std::to_string(file_.config.n_layer - 1);
      fail_model(tensor.file, tensor.full_name, "no layer past " + last, "this tensor");
    }
    unused.push_back(printable(tensor.file, 400) + ": tensor " + printable(tensor.full_name) +
                     " left out: not part of " + std::string(architecture_.model_type));
  }
  add_first_few(warnings, unused, "tensors left out");
}

// Which row of a piece's tensor is row `row` of it.
uint64_t FamilySource::source_row(const Piece& piece, uint64_t row) const {
  return their_row(piece.move, file_.config, row);
}

const FamilySource::Piece& FamilySource::piece_at(std::string_view name, uint64_t row) const {
  const auto pieces = pieces_.find(name);
  GPT2_CHECK(pieces != pieces_.end());
  for (const Piece& piece : pieces->second) {
    if (row >= piece.begin && row < piece.begin + piece.count) return piece;
  }
  static const Piece none;
  return none;
}

void FamilySource::read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) {
    const Piece& piece = piece_at(spec.name, first + i);
    GPT2_CHECK(piece.tensor != nullptr);
    piece.tensor->read(source_row(piece, first + i - piece.begin) * spec.cols, spec.cols, out + i * spec.cols);
  }
}

void FamilySource::read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; ++i) {
    if (name == kFrequencies) {
      out[i] = file_.frequencies[first + i];
      continue;
    }
    const Piece& piece = piece_at(name, first + i);
    out[i] = 0;
    if (piece.tensor != nullptr) piece.tensor->read(source_row(piece, first + i - piece.begin), 1, out + i);
    if (piece.move == Move::add_one) out[i] += 1;
  }
}

std::optional<DType> FamilySource::code_type(const TensorSpec& spec) {
  if (const auto known = code_types_.find(spec.name); known != code_types_.end()) return known->second;
  const auto pieces = pieces_.find(spec.name);
  std::optional<DType> type;
  const auto all = [&](auto&& is) { return std::all_of(pieces->second.begin(), pieces->second.end(), is); };
  const auto has_codes = [](const Piece& piece) {
    return piece.tensor != nullptr && piece.tensor->blocks && has_scaled_codes(*piece.tensor->blocks) &&
           piece.move != Move::skip_two;
  };
  if (pieces != pieces_.end() && !pieces->second.empty() && all(has_codes)) {
    type = DType::int8g32;
    if (all([](const Piece& piece) { return piece.tensor->blocks == GgufType::q4_0; })) type = DType::int4;
    if (all([&](const Piece& piece) { return has_paired_scales(*piece.tensor); })) type = DType::int8;
  }
  return code_types_[spec.name] = type;
}

std::string_view FamilySource::stored_type(const TensorSpec& spec) const {
  const auto pieces = pieces_.find(spec.name);
  std::string_view type;
  for (size_t i = 0; pieces != pieces_.end() && i < pieces->second.size(); ++i) {
    const NamedTensor* tensor = pieces->second[i].tensor;
    if (tensor == nullptr || (i > 0 && tensor->dtype != type)) return {};
    type = tensor->dtype;
  }
  return type;
}

bool FamilySource::has_paired_scales(const NamedTensor& tensor) const {
  if (tensor.blocks != GgufType::q8_0) return false;
  const size_t row_blocks = tensor.shape.back() / ScaledCodes::kWeights, bytes = gguf_type_info(GgufType::q8_0).bytes;
  const size_t n_blocks = tensor.data.size() / bytes;
  for (size_t i = 0; i < n_blocks; ++i) {
    const std::byte* block = tensor.data.data() + i * bytes;
    const ScaledCodes codes = scaled_codes(GgufType::q8_0, block);
    if (std::any_of(std::begin(codes.codes), std::end(codes.codes), [](int8_t code) { return code == -128; })) {
      return false;
    }
    const size_t at = i % row_blocks;
    if (at % 2 == 1 && codes.scale != scaled_codes(GgufType::q8_0, block - bytes).scale) return false;
  }
  return true;
}

void FamilySource::read_codes(const TensorSpec& spec, uint64_t row, int8_t* codes, uint16_t* scales) {
  const Piece& piece = piece_at(spec.name, row);
  const std::optional<DType> dtype = code_type(spec);
  GPT2_CHECK(dtype.has_value() && piece.tensor != nullptr);
  const GgufType type = *piece.tensor->blocks;
  const size_t n_blocks = spec.cols / ScaledCodes::kWeights, bytes = gguf_type_info(type).bytes;
  const size_t blocks_of_group = layout_of(*dtype).k_per_group / ScaledCodes::kWeights;
  const std::byte* block = piece.tensor->data.data() + source_row(piece, row - piece.begin) * n_blocks * bytes;
  std::fill_n(codes, padded_k(*dtype, spec.cols), int8_t{0});
  for (size_t i = 0; i < n_blocks; ++i, block += bytes) {
    const ScaledCodes stored = scaled_codes(type, block);
    std::copy_n(stored.codes, ScaledCodes::kWeights, codes + i * ScaledCodes::kWeights);
    if (i % blocks_of_group == 0) scales[i / blocks_of_group] = stored.scale;
  }
}

void FamilySource::done(const TensorSpec& spec) {
  const auto pieces = pieces_.find(spec.name);
  if (pieces == pieces_.end()) return;
  for (const Piece& piece : pieces->second) {
    if (piece.tensor != nullptr) piece.tensor->drop();
  }
}

}  // namespace gpt2
