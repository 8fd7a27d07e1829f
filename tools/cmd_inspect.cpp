// gpt2 inspect: what a model file says, what its weights are, and what a token costs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/json_object.h"
#include "src/convert/model_source.h"
#include "src/model/kv_cache.h"
#include "src/text/chat_template.h"
#include "tools/commands.h"
#include "tools/format.h"
#include "tools/inspect_gguf.h"
#include "tools/load_model.h"
#include "tools/streams.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

// Of a tensor's finite values, its bias included.
struct ValueStats {
  uint64_t n_nan = 0, n_infinite = 0, n_finite = 0;
  double min = std::numeric_limits<double>::infinity(), max = -min, squares = 0;

  void add(std::span<const float> values) {
    for (const float value : values) {
      if (!std::isfinite(value)) {
        ++(std::isnan(value) ? n_nan : n_infinite);
        continue;
      }
      ++n_finite;
      min = std::min(min, double{value});
      max = std::max(max, double{value});
      squares += double{value} * value;
    }
  }
  double rms() const { return n_finite > 0 ? std::sqrt(squares / static_cast<double>(n_finite)) : 0; }
};

struct TensorReport {
  const StoredTensor* tensor;
  uint64_t n_parameters = 0;
  ValueStats values;
};

// What one token costs when nothing is cached before it.
struct StepCost {
  uint64_t flops = 0;     // 2 per weight of every matrix, the head included
  uint64_t bytes = 0;     // stored bytes of all that is read: every matrix and norm once, one row of wpe
  uint64_t kv_bytes = 0;  // of the cache, per position, in f32
};

bool is_matrix(const StoredTensor& tensor) {
  return is_packed(tensor.spec.arrangement);
}

// A wte that is not the head is only gathered from, a row a token.
bool is_gathered(const StoredTensor& tensor, const Config& config) {
  return tensor.spec.arrangement == Arrangement::rows ||
         (tensor.spec.name == "wte.weight" && (!config.tied_lm_head || config.n_draft_vocab > 0));
}

StepCost step_cost(const ModelFile& file) {
  StepCost cost;
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.spec.arrangement == Arrangement::bytes) continue;
    if (is_gathered(tensor, file.config)) {
      cost.bytes += tensor.data.size() / tensor.spec.rows;
      continue;
    }
    cost.bytes += tensor.data.size();
    if (is_matrix(tensor)) cost.flops += 2 * tensor.spec.rows * tensor.spec.cols;
  }
  cost.kv_bytes = KvLayout(file.config, KvType::f32).block_bytes() / kBlockPositions;
  return cost;
}

std::string shape_text(const TensorSpec& spec) {
  if (spec.arrangement == Arrangement::bytes) return "[" + std::to_string(spec.rows) + "]";
  const bool vector = spec.arrangement == Arrangement::vector;
  return "[" + std::to_string(spec.rows) + (vector ? "]" : ", " + std::to_string(spec.cols) + "]");
}

std::string dtype_text(const StoredTensor& tensor) {
  return tensor.spec.arrangement == Arrangement::bytes ? "u8" : std::string(dtype_name(tensor.dtype));
}

// Name and value of everything in the configuration; values are JSON.
std::vector<std::pair<std::string, std::string>> config_rows(const Config& config) {
  const auto boolean = [](bool value) { return std::string(value ? "true" : "false"); };
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("n_layer", std::to_string(config.n_layer));
  rows.emplace_back("n_head", std::to_string(config.n_head));
  rows.emplace_back("n_embd", std::to_string(config.n_embd));
  rows.emplace_back("d_head", std::to_string(config.d_head));
  rows.emplace_back("n_inner", std::to_string(config.n_inner));
  rows.emplace_back("n_ctx", std::to_string(config.n_ctx));
  rows.emplace_back("n_vocab", std::to_string(config.n_vocab));
  if (config.n_draft_vocab > 0) rows.emplace_back("n_draft_vocab", std::to_string(config.n_draft_vocab));
  rows.emplace_back("activation", json_quote(name_of(config.activation)));
  rows.emplace_back("layer_norm_epsilon", significant(config.layer_norm_epsilon, 9));
  rows.emplace_back("scale_attn_weights", boolean(config.scale_attn_weights));
  rows.emplace_back("scale_attn_by_inverse_layer_idx", boolean(config.scale_attn_by_inverse_layer_idx));
  rows.emplace_back("tied_lm_head", boolean(config.tied_lm_head));
  rows.emplace_back("bos_token_id", config.bos_token_id < 0 ? "null" : std::to_string(config.bos_token_id));
  for (const auto& [key, text] : block_metadata(config)) {
    if (key != "block.d_head") rows.emplace_back(key.substr(kBlockPrefix.size()), json_quote(text));
  }
  rows.emplace_back("eos_token_ids", "[" + join_token_ids(config.eos_token_ids, ", ") + "]");
  return rows;
}

// The roles that the model has, with their tokens: those of bos and eos are the configuration's.
struct RoleRow {
  std::string_view name;
  TokenId id = 0;
};
std::vector<RoleRow> role_rows(const Model& model) {
  std::vector<RoleRow> rows;
  for (size_t i = 0; i < kTokenRoles; ++i) {
    const TokenRole role = token_role(i);
    if (const TokenId id = model.token_of(role); id >= 0) rows.push_back({name_of(role), id});
  }
  return rows;
}

// "bos <s> (1), eos </s> (2), pad <pad> (3)".
std::string roles_text(const Model& model) {
  std::string text;
  const auto add = [&](std::string_view name, TokenId id) {
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + printable(model.tokenizer().token_bytes(id), 60) +
            " (" + std::to_string(id) + ")";
  };
  if (model.config().bos_token_id >= 0) add("bos", model.config().bos_token_id);
  for (const TokenId id : model.config().eos_token_ids) add("eos", id);
  for (const RoleRow& row : role_rows(model)) add(row.name, row.id);
  return text.empty() ? "none" : text;
}

// {"eot":5,...}: without bos and eos, which the configuration has.
std::string roles_json(const Model& model) {
  JsonObject object;
  for (const RoleRow& row : role_rows(model)) object.whole(row.name, static_cast<uint64_t>(row.id));
  return object.text();
}

class Inspect final : public Command {
 public:
  CommandText text() const override {
    return {"inspect", "[FILE|DIR]", "Shows a model's configuration, tensors and costs.",
            "Every tensor is listed with its logical shape, its type, how it is laid out, its bytes in the file, and "
            "of its values (bias included) the number of NaNs and infinities, the smallest, the largest and the root "
            "mean square.\n"
            "Flops per token are 2 for each weight of a matrix, the head included, attention to earlier tokens not. "
            "Bytes per token are what is read for it: every matrix and norm once and one row of wpe, the cache not.\n"
            "Of a GGUF file it shows what is in it, and then the model that it becomes. It has no checksums: --verify "
            "reads everything in it, and finds weights that are not finite.",
            "gpt2 inspect\n"
            "gpt2 inspect --verify model.gpt2\n"
            "gpt2 inspect --no-values model.Q4_K_M.gguf\n"
            "gpt2 inspect --json model.gpt2 | jq .config"};
  }

  std::vector<OptionGroup> options() override {
    return {
        {"Options",
         {{"--verify", "", "Compare every tensor with its checksum first; exit 3 if one differs.", flag_value(verify_)},
          {"--no-values", "", "Do not read the weights: no NaN count, no minimum.", flag_value(no_values_)},
          {"--json", "", "Print one JSON object.", flag_value(json_)}}},
        {"Model", model_options(model_)}};
  }

  int run(const std::vector<std::string>& operands) override {
    if (operands.size() > 1) {
      fail(ExitCode::usage, "inspect: expected one model, found " + std::to_string(operands.size()));
    }
    if (!operands.empty() && model_.path) fail(ExitCode::usage, "inspect: give FILE or --model, not both");
    if (!operands.empty()) model_.path = operands[0];
    const Model model = load_any_model(model_);
    if (is_gguf(model.name())) gguf_ = report_gguf(model.name());
    if (verify_) verify_checksums(model.file(), model.name());
    std::vector<TensorReport> reports;
    for (const StoredTensor& tensor : model.file().tensors) reports.push_back(examine(tensor, model.config()));
    if (verify_ && gguf_) check_finite(reports, model.name());
    write_output(json_ ? as_json(model, reports) : as_text(model, reports));
    return static_cast<int>(ExitCode::ok);
  }

 private:
  TensorReport examine(const StoredTensor& tensor, const Config& config) const {
    TensorReport report;
    report.tensor = &tensor;
    const TensorSpec& spec = tensor.spec;
    if (spec.arrangement == Arrangement::bytes) return report;
    report.n_parameters = spec.rows * spec.cols + (spec.bias.empty() ? 0 : spec.rows);
    if (no_values_ && !(verify_ && gguf_)) return report;
    const LogicalTensor logical = read_tensor(tensor, config);
    report.values.add(logical.values);
    report.values.add(logical.bias);
    return report;
  }

  // What a file without checksums can be found to be wrong in.
  static void check_finite(const std::vector<TensorReport>& reports, std::string_view file) {
    for (const TensorReport& report : reports) {
      const uint64_t n = report.values.n_nan + report.values.n_infinite;
      if (n > 0) fail_model(file, report.tensor->spec.name, "finite weights", std::to_string(n) + " that are not");
    }
  }

  std::string as_text(const Model& model, const std::vector<TensorReport>& reports) const;
  std::string as_json(const Model& model, const std::vector<TensorReport>& reports) const;
  std::string tensor_json(const TensorReport& report) const;
  std::string tensor_table(const std::vector<TensorReport>& reports) const;

  ModelChoice model_;
  bool verify_ = false, no_values_ = false, json_ = false;
  std::optional<GgufReport> gguf_;  // of a model that is none of ours
};

struct Totals {
  uint64_t n_parameters = 0, n_nan = 0, n_infinite = 0;
};

Totals totals_of(const std::vector<TensorReport>& reports) {
  Totals totals;
  for (const TensorReport& report : reports) {
    totals.n_parameters += report.n_parameters;
    totals.n_nan += report.values.n_nan;
    totals.n_infinite += report.values.n_infinite;
  }
  return totals;
}

std::string Inspect::tensor_table(const std::vector<TensorReport>& reports) const {
  constexpr auto kLeft = Table::Align::left, kRight = Table::Align::right;
  Table table({kLeft, kRight, kLeft, kLeft, kRight, kRight, kRight, kRight, kRight, kRight});
  std::vector<std::string> heading = {"tensor", "shape", "type", "layout", "bytes"};
  if (!no_values_) heading.insert(heading.end(), {"nan", "inf", "min", "max", "rms"});
  table.row(heading);
  for (const TensorReport& report : reports) {
    const TensorSpec& spec = report.tensor->spec;
    std::vector<std::string> cells = {spec.name, shape_text(spec), dtype_text(*report.tensor),
                                      std::string(arrangement_name(spec.arrangement)),
                                      std::to_string(report.tensor->data.size())};
    if (report.values.n_finite > 0) {
      const ValueStats& values = report.values;
      cells.insert(cells.end(), {std::to_string(values.n_nan), std::to_string(values.n_infinite),
                                 significant(values.min), significant(values.max), significant(values.rms())});
    } else if (report.values.n_nan + report.values.n_infinite > 0) {
      cells.insert(cells.end(), {std::to_string(report.values.n_nan), std::to_string(report.values.n_infinite)});
    }
    table.row(std::move(cells));
  }
  return table.text();
}

// "211 matrices in int8, 61 vectors": what the tensors are stored as.
std::string types_text(const ModelFile& file) {
  std::map<DType, uint64_t> matrices;
  uint64_t n_others = 0;
  for (const StoredTensor& tensor : file.tensors) {
    if (is_matrix(tensor)) ++matrices[tensor.dtype];
    if (!is_matrix(tensor) && tensor.spec.arrangement != Arrangement::bytes) ++n_others;
  }
  std::string text;
  for (const auto& [dtype, n] : matrices) {
    text += std::to_string(n) + " matrices in " + std::string(dtype_name(dtype)) + ", ";
  }
  return text + std::to_string(n_others) + " others in f32";
}

std::string Inspect::as_text(const Model& model, const std::vector<TensorReport>& reports) const {
  const ModelFile& file = model.file();
  const Totals totals = totals_of(reports);
  const StepCost cost = step_cost(file);
  Table head({Table::Align::left, Table::Align::left});
  head.row({"model", printable(model.name(), 400)});
  if (gguf_) {
    for (const auto& [name, value] : gguf_->rows) head.row({name, value});
    head.row({"becomes", types_text(file)});
  }
  head.row({"source", printable(file.source, 400)});
  head.row({"size", human_bytes(static_cast<double>(model.bytes().size())) + " (" +
                        std::to_string(model.bytes().size()) + " bytes), " + std::to_string(reports.size()) +
                        " tensors"});
  head.row({"header xxh3", hex64(file.header_hash)});
  head.row({"tokenizer", std::to_string(model.tokenizer().n_tokens()) + " tokens, xxh3 " + hex64(file.tokenizer_hash)});
  head.row({"roles", roles_text(model)});
  if (verify_ && gguf_) head.row({"checked", "container, keys, tensors, tokenizer; all weights are finite"});
  if (verify_ && !gguf_) head.row({"checksums", "all tensors match"});
  head.row({"parameters", std::to_string(totals.n_parameters)});
  if (!no_values_) {
    head.row({"not finite", std::to_string(totals.n_nan) + " NaN, " + std::to_string(totals.n_infinite) + " infinite"});
  }
  head.row(
      {"flops/token", human_count(static_cast<double>(cost.flops)) + " (2 per weight of a matrix, head included)"});
  head.row({"bytes/token", human_bytes(static_cast<double>(cost.bytes)) + " (weights read, cache not counted)"});
  if (!file.chat_template.empty()) {
    const auto chat = recognise_template(file.chat_template);
    head.row({"chat", chat ? std::string(name_of(chat->form)) : "a template of no known form"});
  }
  head.row({"kv cache", human_bytes(static_cast<double>(cost.kv_bytes)) + " per token in f32, half in f16"});
  std::string text = head.text() + "\n";
  Table config({Table::Align::left, Table::Align::left});
  for (const auto& [name, value] : config_rows(file.config)) config.row({name, value});
  return text + config.text() + "\n" + tensor_table(reports);
}

std::string Inspect::tensor_json(const TensorReport& report) const {
  const StoredTensor& tensor = *report.tensor;
  JsonObject object;
  object.string("name", tensor.spec.name)
      .raw("shape", shape_text(tensor.spec))
      .string("dtype", dtype_text(tensor))
      .string("layout", arrangement_name(tensor.spec.arrangement))
      .whole("bytes", tensor.data.size())
      .string("xxh3", hex64(tensor.xxh3));
  if (report.n_parameters > 0 && !no_values_) {
    object.whole("nan", report.values.n_nan)
        .whole("inf", report.values.n_infinite)
        .real("min", report.values.min)
        .real("max", report.values.max)
        .real("rms", report.values.rms());
  }
  return object.text();
}

std::string Inspect::as_json(const Model& model, const std::vector<TensorReport>& reports) const {
  const ModelFile& file = model.file();
  const Totals totals = totals_of(reports);
  const StepCost cost = step_cost(file);
  JsonObject config;
  for (const auto& [name, value] : config_rows(file.config)) config.raw(name, value);
  std::string tensors;
  for (const TensorReport& report : reports) tensors += (tensors.empty() ? "" : ",\n ") + tensor_json(report);
  JsonObject object;
  object.string("model", model.name());
  if (gguf_) object.raw("gguf", gguf_->json);
  object
      .string("source", file.source)
      .whole("bytes", model.bytes().size())
      .string("header_xxh3", hex64(file.header_hash))
      .string("tokenizer_xxh3", hex64(file.tokenizer_hash))
      .whole("tokenizer_tokens", model.tokenizer().n_tokens())
      .raw("roles", roles_json(model))
      .whole("parameters", totals.n_parameters)
      .whole("flops_per_token", cost.flops)
      .whole("weight_bytes_per_token", cost.bytes)
      .whole("kv_bytes_per_token_f32", cost.kv_bytes);
  if (!no_values_) object.whole("nan", totals.n_nan).whole("inf", totals.n_infinite);
  if (verify_) object.raw("verified", "true");
  if (!file.chat_template.empty()) object.string("chat_template", file.chat_template);
  return object.raw("config", config.text()).raw("tensors", "[\n " + tensors + "]").text() + "\n";
}

}  // namespace

std::unique_ptr<Command> make_inspect() { return std::make_unique<Inspect>(); }

}  // namespace gpt2
