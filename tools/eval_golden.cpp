#include "tools/eval_golden.h"

#include <algorithm>
#include <memory>
#include <span>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/io/mapped_file.h"
#include "src/io/output_file.h"
#include "src/io/safetensors_sink.h"
#include "src/measure/row_logits.h"
#include "tools/format.h"
#include "src/io/json_object.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxFile = uint64_t{1} << 30;  // bytes of text
constexpr float kMost = 1e30f;

// A file's bytes, mapped or read from stdin.
struct Input {
  std::optional<MappedFile> mapped;
  std::string text;
  std::span<const std::byte> bytes;
};

std::unique_ptr<Input> open_input(const std::string& file) {
  auto input = std::make_unique<Input>();
  if (file == "-") {
    input->text = read_stdin(kMaxFile);
    input->bytes = std::as_bytes(std::span(input->text));
    return input;
  }
  try {
    input->mapped = MappedFile::open(file);
  } catch (const Error& error) {
    fail(ExitCode::internal, error.what());
  }
  input->bytes = input->mapped->bytes();
  return input;
}

// The largest of a figure, and where.
struct Largest {
  double value = -1;
  std::string where;
  void see(double other, const GoldenText& text, size_t row) {
    if (!(other > value)) return;
    value = other;
    where = text.place + ", token " + std::to_string(row + text.tokens.size() - text.n_rows);
  }
};

struct Comparison {
  size_t n_texts = 0, n_rows = 0, n_same_top = 0;
  Largest difference, share, kl;
  double kl_sum = 0;
  std::string records;  // as JSON

  void add(const GoldenText& text, const std::vector<RowDistance>& distances) {
    std::string differences, kls;
    for (size_t i = 0; i < distances.size(); ++i) {
      const RowDistance& row = distances[i];
      difference.see(row.difference, text, i);
      share.see(row.spread > 0 ? row.difference / row.spread : row.difference > 0 ? 1 : 0, text, i);
      kl.see(row.kl, text, i);
      kl_sum += row.kl;
      n_same_top += row.same_top;
      differences += (i > 0 ? "," : "") + json_number(row.difference);
      kls += (i > 0 ? "," : "") + json_number(row.kl);
    }
    ++n_texts;
    n_rows += distances.size();
    JsonObject record;
    record.whole("tokens", text.tokens.size())
        .raw("difference", "[" + differences + "]")
        .raw("kl", "[" + kls + "]");
    records += (records.empty() ? "" : ",") + record.text();
  }
  double kl_mean() const { return kl_sum / static_cast<double>(n_rows); }
  double top1_agreement() const { return static_cast<double>(n_same_top) / static_cast<double>(n_rows); }
};

// The texts of --write: {"prompt": "..."} or {"tokens": [...]} a line.
std::vector<std::vector<TokenId>> read_prompts(const std::string& file, const Model& model) {
  const std::string text = read_input_file(file, kMaxFile);
  const std::string name = file == "-" ? "stdin" : printable(file, 400);
  const uint32_t n_ctx = model.config().n_ctx, n_vocab = model.config().n_vocab;
  std::vector<std::vector<TokenId>> prompts;
  uint64_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view record = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::string place = name + ":" + std::to_string(++line) + ": expected ";
    if (record.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Json json;
    if (const auto fault = read_json(record, json))
      fail(ExitCode::input, place + fault->expected + ", found " + printable(fault->found, 200));
    const Json *prompt = json.find("prompt"), *tokens = json.find("tokens");
    std::vector<TokenId> ids;
    if (prompt != nullptr && prompt->kind == Json::Kind::string && tokens == nullptr) {
      ids = model.tokenizer().encode(prompt->string);
    } else if (tokens != nullptr && tokens->kind == Json::Kind::array && prompt == nullptr) {
      for (const Json& token : tokens->array) {
        if (token.kind != Json::Kind::integer || token.integer < 0 || token.integer >= n_vocab)
          fail(ExitCode::input, place + "tokens below " + std::to_string(n_vocab) + ", found " + token.describe());
        ids.push_back(static_cast<TokenId>(token.integer));
      }
    } else {
      fail(ExitCode::input, place + "an object with prompt (text) or tokens (an array), found " + json.describe());
    }
    if (ids.empty() || ids.size() > n_ctx) {
      fail(ExitCode::input, place + "1 to " + std::to_string(n_ctx) + " tokens, the model's positions, found " +
                                std::to_string(ids.size()));
    }
    prompts.push_back(std::move(ids));
  }
  if (prompts.empty()) fail(ExitCode::input, name + ": expected an object a line, found none");
  return prompts;
}

void write_tensors(const std::vector<std::vector<TokenId>>& prompts, Engine& engine, OutputFile& out) {
  std::vector<TensorInfo> tensors;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string ending = prompts.size() > 1 ? "." + std::to_string(i) : "";
    const uint64_t n = prompts[i].size();
    tensors.push_back({"tokens" + ending, "I32", {n}, 0, 0});
    tensors.push_back({"logits" + ending, "F32", {n, engine.model().config().n_vocab}, 0, 0});
  }
  SafetensorsSink sink(out, tensors, {{"model", engine.model().name()}});
  for (size_t i = 0; i < prompts.size(); ++i) {
    sink.write(2 * i, 0, prompts[i]);
    each_row_logits(engine, prompts[i], [&](size_t row, std::span<const float> logits) {
      sink.write(2 * i + 1, row * logits.size(), logits);
    });
  }
}

void write_lines(const std::vector<std::vector<TokenId>>& prompts, Engine& engine, OutputFile& out) {
  std::string text;
  for (const std::vector<TokenId>& prompt : prompts) {
    text += "{\"tokens\":[" + join_token_ids(prompt, ",") + "],\"logits\":[";
    each_row_logits(engine, prompt, [&](size_t row, std::span<const float> logits) {
      text += row > 0 ? ",[" : "[";
      for (size_t i = 0; i < logits.size(); ++i)
        text += (i > 0 ? "," : "") + json_number(static_cast<double>(logits[i]));
      text += "]";
    });
    text += "]}\n";
  }
  out.resize(text.size());
  out.write(0, std::as_bytes(std::span(text)));
}

}  // namespace

std::vector<OptionGroup> EvalGoldenCommand::options() {
  return {{"Goldens",
           {{"--max-kl", "", "End with exit code 1 if the KL divergence of a row is larger.",
             real_value(max_kl_, 0, kMost)},
            {"--max-difference", "", "End with exit code 1 if the absolute difference of two logits is larger.",
             real_value(max_difference_, 0, kMost)},
            {"--write", "",
             "Write the logits of this model to FILE instead, as safetensors if it ends so, else as JSON. What they "
             "follow is in the other FILE: {\"prompt\": \"...\"} or {\"tokens\": [...]} a line.",
             name_value("FILE", write_)}}}};
}

int EvalGoldenCommand::run(const std::string& file, const EvalSetting& setting) const {
  Engine engine(setting.model, setting.engine);
  catch_interrupts();
  if (!write_) return compare(file, setting, engine);
  if (max_kl_ >= 0 || max_difference_ >= 0)
    fail(ExitCode::usage, "eval golden: --write compares nothing: expected no --max-kl and no --max-difference");
  write(file, setting, engine);
  return static_cast<int>(ExitCode::ok);
}

void EvalGoldenCommand::write(const std::string& file, const EvalSetting& setting, Engine& engine) const {
  InputFiles inputs;
  inputs.add(file, "FILE");
  add_inputs(setting.choice, "-m", inputs);
  OutputFile out(*write_, setting.force ? Overwrite::replace : Overwrite::refuse, inputs);
  const std::vector<std::vector<TokenId>> prompts = read_prompts(file, setting.model);
  if (write_->ends_with(".safetensors")) {
    write_tensors(prompts, engine, out);
  } else {
    write_lines(prompts, engine, out);
  }
  setting.model.check_unchanged();
  out.commit();
}

int EvalGoldenCommand::compare(const std::string& file, const EvalSetting& setting, Engine& engine) const {
  const std::string name = file == "-" ? "stdin" : printable(file, 400);
  const std::unique_ptr<Input> input = open_input(file);
  std::vector<GoldenText> texts;
  try {
    texts = read_golden(input->bytes, name, setting.model.config());
  } catch (const Error& error) {
    fail(ExitCode::input, error.what());
  }
  Comparison result;
  ProgressBar bar("texts", setting.choice.verbosity, human_count);
  for (const GoldenText& text : texts) {
    if (interrupt_flag()) throw Interrupted{};
    result.add(text, compare_golden(engine, text));
    bar.update(result.n_texts, texts.size());
  }
  if (input->mapped) input->mapped->check_unchanged();
  setting.model.check_unchanged();
  if (setting.json) {
    JsonObject object;
    object.string("file", file)
        .string("model", setting.model.name())
        .string("dtype", setting.dtype)
        .whole("texts", result.n_texts)
        .whole("rows", result.n_rows)
        .real("max_difference", result.difference.value)
        .real("max_relative_difference", result.share.value)
        .real("kl_mean", result.kl_mean())
        .real("kl_max", result.kl.value)
        .real("top1_agreement", result.top1_agreement())
        .raw("records", "[" + result.records + "]")
        .string("kernels", setting.engine.kernels->name);
    write_output(object.text() + "\n");
  } else {
    Table table({Table::Align::left, Table::Align::left});
    table.row({"golden", name + ": " + std::to_string(result.n_texts) + (result.n_texts == 1 ? " text, " : " texts, ") +
                             std::to_string(result.n_rows) + " rows of logits"});
    table.row({"model", printable(setting.model.name(), 400) + " (" + setting.dtype + "), " +
                            std::string(setting.engine.kernels->name)});
    table.row({"difference", "at most " + significant(result.difference.value, 4) + ", " + result.difference.where});
    table.row({"of a row's spread", "at most " + significant(result.share.value, 4) + ", " + result.share.where});
    table.row({"KL(golden || model)", "mean " + significant(result.kl_mean(), 4) + ", at most " +
                                          significant(result.kl.value, 4) + " nats, " + result.kl.where});
    table.row({"top-1 agreement", fixed(100 * result.top1_agreement(), 2) + " %"});
    write_output(table.text());
  }
  const auto bound = [](const char* what, float most, const Largest& found) {
    if (most < 0 || found.value <= static_cast<double>(most)) return;
    fail(ExitCode::internal, found.where + ": " + what + ": expected at most " +
                                 significant(static_cast<double>(most), 6) + ", found " +
                                 significant(found.value, 6));
  };
  bound("difference", max_difference_, result.difference);
  bound("KL divergence", max_kl_, result.kl);
  return static_cast<int>(ExitCode::ok);
}

}  // namespace gpt2
