// gpt2 trace: every intermediate of the forward pass over a text, as tensors and as drawings of attention.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/io/output_file.h"
#include "src/io/safetensors_sink.h"
#include "src/measure/trace.h"
#include "tools/attention_svg.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/format.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/progress.h"
#include "tools/prompt.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr size_t kMostDrawn = 128;  // tokens of a drawing

struct HeadName {
  uint32_t layer = 0, head = 0;
};

// "0.1,3.2"
OptionValue heads_value(std::vector<HeadName>& out) {
  return {"L.H,...", "a layer and a head with a point between them, with commas between such pairs",
          [&out](std::string_view text) {
            out.clear();
            for (const std::string& word : split_names(text)) {
              HeadName name;
              const char* const end = word.data() + word.size();
              const auto layer = std::from_chars(word.data(), end, name.layer);
              if (layer.ec != std::errc() || layer.ptr == end || *layer.ptr != '.') return false;
              const auto head = std::from_chars(layer.ptr + 1, end, name.head);
              if (head.ec != std::errc() || head.ptr != end) return false;
              out.push_back(name);
            }
            return !out.empty();
          }};
}

// What the table says of a tensor.
struct Summary {
  double sum = 0, squares = 0;
  float least = std::numeric_limits<float>::infinity(), most = -std::numeric_limits<float>::infinity();
  uint64_t n = 0;

  void add(std::span<const float> values) {
    for (const float value : values) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
      least = std::min(least, value);
      most = std::max(most, value);
    }
    n += values.size();
  }
};

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text;
  for (const uint64_t dimension : shape) text += (text.empty() ? "[" : ", ") + std::to_string(dimension);
  return text + "]";
}

class Trace final : public Command {
 public:
  CommandText text() const override {
    return {
        "trace", "[PROMPT]", "Shows every intermediate of a model's pass over a text.",
        "A slow pass of plain loops in the scalar kernels computes the prompt, and what it computes on the way goes to "
        "a safetensors file (-o), to drawings of attention (--svg), or without either to a table of shapes, means, "
        "root mean squares, minima and maxima. In the end its logits are compared with those of the usual fast pass: "
        "they have the same bits, or the command says so and ends with exit code 1. (The products of bf16 matrices are "
        "those of the fast kernels, which round in a way of their own.)\n"
        "The tensors, all F32 beside tokens, in the order of reading; n tokens, L a layer from 0:\n"
        "tokens I32 [n]; embedding [n, n_embd]: wte's rows, scaled where the model scales them, + wpe\n"
        "h.L.ln_1 [n, n_embd]: the norm before attention\n"
        "h.L.attn.q [n, n_head, d_head], h.L.attn.k and h.L.attn.v [n, n_kv_head, d_head]: behind rotation and before "
        "the attention scale; values that turn stand as halves: pair i is (i, i + rotary_dims / 2)\n"
        "h.L.attn.probabilities [n_head, n, n]: softmax; row i over the positions that it sees, 0 elsewhere\n"
        "h.L.attn.heads [n, n_head * d_head]: probabilities times v; h.L.attn.out [n, n_embd]: c_proj of them; "
        "h.L.attn.residual [n, n_embd]: the stream with it\n"
        "h.L.ln_2 [n, n_embd]: the norm before the MLP (of h.L.attn.residual; where MLP and attention stand side by "
        "side of what ln_1 reads, or missing where they share ln_1)\n"
        "h.L.mlp.inner [n, n_inner]: behind the activation; h.L.mlp.out [n, n_embd]; h.L.residual [n, n_embd]: the "
        "stream behind the block\n"
        "ln_f [n, n_embd]; logits [n, n_vocab]",
        "gpt2 trace \"The old captain said\"\n"
        "gpt2 trace -m gpt2 -o captain.safetensors \"The old captain said\"\n"
        "gpt2 trace --svg attention.svg --heads 0.1,3.2 \"The old captain said\""};
  }

  std::vector<OptionGroup> options() override {
    std::vector<Option> model = model_options(model_);
    for (Option& option : engine_.options()) model.push_back(std::move(option));
    return {{"Input",
             {{"-f,--file", "", "Read the prompt from FILE (-: stdin).", name_value("FILE", file_)},
              {"--bos", "", "Put the beginning-of-text token first.", flag_value(bos_)}}},
            {"Output",
             {{"-o,--output", "", "Write the tensors to FILE, as safetensors.", name_value("FILE", output_)},
              {"--svg", "", "Draw attention maps into FILE, of at most 128 tokens.", name_value("FILE", svg_)},
              {"--heads", "", "The heads that are drawn, by layer and head from 0 (default: 0.0).",
               heads_value(heads_)},
              {"--force", "", "Replace the files if they are there.", flag_value(force_)},
              {"-q,--quiet", "", "No progress.", flag_value(model_.verbosity, Verbosity::quiet)}}},
            {"Model", std::move(model)}};
  }

  int run(const std::vector<std::string>& operands) override {
    if (!heads_.empty() && !svg_) fail(ExitCode::usage, "trace: --heads: expected --svg FILE beside it, found none");
    TextSource source;
    source.file = file_;
    source.final_newline = FinalNewline::drop;
    const std::optional<std::string> text = read_text("trace", operands, source);
    if (!text) fail_no_input(*this, "no prompt given");
    InputFiles inputs;
    if (file_) inputs.add(*file_, "-f");
    add_inputs(model_, "-m", inputs);
    const auto open = [&](const std::optional<std::string>& path) {
      return path ? std::make_unique<OutputFile>(*path, force_ ? Overwrite::replace : Overwrite::refuse, inputs)
                  : nullptr;
    };
    const std::unique_ptr<OutputFile> output = open(output_), svg = open(svg_);
    const Model model = load_model(model_);
    const std::vector<TokenId> tokens = tokens_of(*text, model);
    check_heads(model.config(), tokens.size());
    pass(model, tokens, output.get(), svg.get());
    model.check_unchanged();
    if (output) output->commit();
    if (svg) svg->commit();
    return static_cast<int>(ExitCode::ok);
  }

 private:
  std::vector<TokenId> tokens_of(const std::string& text, const Model& model) const {
    std::vector<TokenId> tokens;
    if (bos_ && model.config().bos_token_id < 0)
      fail(ExitCode::input, "trace: --bos: the model has no beginning-of-text token");
    if (bos_) tokens.push_back(model.config().bos_token_id);
    model.tokenizer().encode(text, Specials::as_text, tokens);
    const size_t n_ctx = model.config().n_ctx;
    if (tokens.empty() || tokens.size() > n_ctx) {
      fail(ExitCode::input, "trace: expected a prompt of 1 to " + std::to_string(n_ctx) +
                                " tokens, the model's positions, found " + std::to_string(tokens.size()));
    }
    return tokens;
  }

  void check_heads(const Config& config, size_t n_tokens) {
    if (!svg_) return;
    if (n_tokens > kMostDrawn) {
      fail(ExitCode::input, "trace: --svg: expected at most " + std::to_string(kMostDrawn) + " tokens, found " +
                                std::to_string(n_tokens));
    }
    if (heads_.empty()) heads_.push_back({});
    for (const HeadName& name : heads_) {
      if (name.layer >= config.n_layer || name.head >= config.n_head) {
        fail(ExitCode::usage, "trace: --heads: expected layers below " + std::to_string(config.n_layer) +
                                  " and heads below " + std::to_string(config.n_head) + ", found " +
                                  std::to_string(name.layer) + "." + std::to_string(name.head));
      }
    }
  }

  std::string token_texts(const Model& model, std::span<const TokenId> tokens) const {
    std::string json;
    for (const TokenId token : tokens)
      json += (json.empty() ? "" : ",") + json_quote(model.tokenizer().token_bytes(token));
    return "[" + json + "]";
  }

  // Writes what there is to write. Throws Error (exit 1) if the fast pass has other bits.
  void pass(const Model& model, std::span<const TokenId> tokens, OutputFile* output, OutputFile* svg) const {
    const std::vector<TraceTensor> tensors = trace_tensors(model.config(), tokens.size());
    std::optional<SafetensorsSink> sink;
    if (output != nullptr) {
      std::vector<TensorInfo> infos = {{"tokens", "I32", {tokens.size()}, 0, 0}};
      for (const TraceTensor& tensor : tensors) infos.push_back({tensor.name, "F32", tensor.shape, 0, 0});
      sink.emplace(*output, std::move(infos),
                   std::vector<std::pair<std::string, std::string>>{
                       {"model", model.name()}, {"token_texts", token_texts(model, tokens)}});
      sink->write(0, 0, tokens);
    }
    std::vector<AttentionMap> maps;
    std::vector<size_t> map_tensors;
    for (const HeadName& name : heads_) {
      maps.push_back({name.layer, name.head, std::vector<float>(tokens.size() * tokens.size())});
      const std::string wanted = "h." + std::to_string(name.layer) + ".attn.probabilities";
      map_tensors.push_back(static_cast<size_t>(
          std::find_if(tensors.begin(), tensors.end(), [&](const TraceTensor& t) { return t.name == wanted; }) -
          tensors.begin()));
    }
    std::vector<Summary> summaries(tensors.size());
    EngineOptions engine = engine_.resolve(model);
    TraceOptions options;
    options.products = has_matrix_of(model, DType::bf16) ? engine.kernels : find_kernels("scalar");
    options.kv_type = engine.kv_type;
    catch_interrupts();
    ProgressBar bar("tensors", model_.verbosity, human_count);
    const std::vector<uint64_t> hashes =
        trace(model, tokens, options, [&](size_t tensor, uint64_t first, std::span<const float> values) {
          if (interrupt_flag()) throw Interrupted{};
          bar.update(tensor, tensors.size());
          summaries[tensor].add(values);
          if (sink) sink->write(tensor + 1, first, values);
          for (size_t i = 0; i < maps.size(); ++i) {
            const uint64_t size = maps[i].probabilities.size(), begin = maps[i].head * size;
            if (map_tensors[i] != tensor || first < begin || first >= begin + size) continue;
            std::copy(values.begin(), values.end(),
                      maps[i].probabilities.begin() + static_cast<std::ptrdiff_t>(first - begin));
          }
        });
    Engine fast(model, engine);
    if (const auto row = first_other_row(fast, tokens, hashes)) {
      fail(ExitCode::internal, printable(model.name(), 400) + ": logits after token " + std::to_string(*row) +
                                   ": expected the same bits from the scalar pass and from the fast one (" +
                                   engine.kernels->name + "), found others: an error of this program");
    }
    if (svg != nullptr) {
      std::vector<std::string> texts;
      for (const TokenId token : tokens) texts.emplace_back(model.tokenizer().token_bytes(token));
      const std::string drawing = attention_svg(texts, maps, "Attention, " + printable(model.name(), 60));
      svg->resize(drawing.size());
      svg->write(0, std::as_bytes(std::span(drawing)));
    }
    if (output == nullptr && svg == nullptr) print(tensors, summaries);
  }

  static void print(const std::vector<TraceTensor>& tensors, const std::vector<Summary>& summaries) {
    constexpr auto kLeft = Table::Align::left, kRight = Table::Align::right;
    Table table({kLeft, kLeft, kRight, kRight, kRight, kRight});
    table.row({"tensor", "shape", "mean", "rms", "min", "max"});
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Summary& s = summaries[i];
      const auto n = static_cast<double>(s.n);
      table.row({tensors[i].name, shape_text(tensors[i].shape), significant(s.sum / n, 4),
                 significant(std::sqrt(s.squares / n), 4), significant(static_cast<double>(s.least), 4),
                 significant(static_cast<double>(s.most), 4)});
    }
    write_output(table.text());
  }

  ModelChoice model_;
  EngineArguments engine_;
  std::optional<std::string> file_, output_, svg_;
  std::vector<HeadName> heads_;
  bool bos_ = false, force_ = false;
};

}  // namespace

std::unique_ptr<Command> make_trace() { return std::make_unique<Trace>(); }

}  // namespace gpt2
