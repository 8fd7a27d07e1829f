// gpt2 eval: how well a model predicts a text, and what its predictions lose against another model's. Tasks are in
// eval_tasks.cpp, goldens in eval_golden.cpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "src/base/error.h"
#include "src/io/json_object.h"
#include "src/measure/evaluation.h"
#include "src/model/workspace.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/eval_golden.h"
#include "tools/eval_tasks.h"
#include "tools/format.h"
#include "tools/load_model.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint32_t kUsualWindow = 1024;
constexpr uint64_t kMaxText = uint64_t{1} << 30;  // bytes

// "int4+int8": the types of the matrices, those of most weights first.
std::string dtypes_of(const Model& model) {
  std::map<DType, uint64_t> weights;
  for (const StoredTensor& tensor : model.file().tensors) {
    const Arrangement arrangement = tensor.spec.arrangement;
    if (arrangement == Arrangement::vector || arrangement == Arrangement::rows || arrangement == Arrangement::bytes)
      continue;
    weights[tensor.dtype] += tensor.spec.rows * tensor.spec.cols;
  }
  std::string names;
  while (!weights.empty()) {
    const auto most = std::max_element(weights.begin(), weights.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    names += (names.empty() ? "" : "+") + std::string(dtype_name(most->first));
    weights.erase(most);
  }
  return names;
}

// What was measured, and all that its figures follow from.
struct Report {
  std::string file, model, dtype, against, against_dtype;
  std::string_view kernels;
  uint32_t window = 0, stride = 0;
  uint64_t n_bytes = 0, n_words = 0;
  double seconds = 0;
  bool bos = false;  // the beginning-of-text token stood first
  Evaluation evaluation;

  double token_perplexity() const { return per(static_cast<double>(evaluation.n_scored)); }
  double word_perplexity() const { return per(static_cast<double>(n_words)); }
  double bits_per_byte() const { return evaluation.nll / std::log(2.0) / static_cast<double>(n_bytes); }
  double top1_agreement() const {
    return static_cast<double>(evaluation.divergence->n_same_top) / static_cast<double>(evaluation.n_scored);
  }

 private:
  double per(double n) const { return n > 0 ? std::exp(evaluation.nll / n) : std::numeric_limits<double>::quiet_NaN(); }
};

class Eval final : public Command {
 public:
  CommandText text() const override {
    return {
        "eval", "perplexity|choices|lambada|hellaswag|piqa|winogrande|arc|golden FILE",
        "Measures how well a model predicts a text, solves a task, or agrees with another program.",
        "perplexity: FILE (-: stdin) is read whole, to its last byte (without UTF-8's byte order mark), and split "
        "into tokens; nothing is put before it, or with --bos the beginning-of-text token, so that the text's first "
        "token is scored too. The model sees it in windows of --window tokens that start --stride tokens apart. The "
        "first window scores all its tokens but the first, each later one the tokens that no window before it has "
        "scored (its last --stride), so that every token of the text but the first is scored once, with at least "
        "window - stride tokens before it where the text has them.\n"
        "With NLL the sum of -log p over the scored tokens: token perplexity is exp(NLL / scored tokens), word "
        "perplexity exp(NLL / words) for words between white space as wc -w counts them, bits per byte NLL / ln 2 / "
        "bytes of FILE.\n"
        "--against compares with a reference model of the same vocabulary, usually the f32 file that a smaller one was "
        "made from: mean and maximum over the scored tokens of KL(reference || model) in nats, and the share of tokens "
        "where both hold the same token most likely (top-1 agreement).\n"
        "The tasks: FILE has a JSON object a line, with the fields in which each task is published. lambada: text; its "
        "last word is asked for. hellaswag: activity_label, ctx_a, ctx_b, endings, label. piqa: goal, sol1, sol2, "
        "label. winogrande: sentence with _, option1, option2, answer; what follows the blank is compared behind both "
        "options. arc: question, choices, answerKey, as AI2 or the hub spells them. choices: any context, choices "
        "(texts) and label (the right one's number from 0, or its text).\n"
        "The model sees the texts that lm-evaluation-harness 0.4.13 builds, cut into tokens as there: white space that "
        "ends a context belongs to the continuation, an empty context becomes the beginning-of-text token, and what is "
        "longer than the model's context loses its first tokens. acc is the share of examples whose right continuation "
        "has the highest log-probability (lambada: each of its tokens is the most likely), acc_norm divides by the "
        "choice's characters, acc_bytes by its bytes; the standard errors are the harness's, too.\n"
        "--shots N puts the first N records of a file before each, solved (the harness's sampler first_n; its default "
        "draws them).\n"
        "golden: FILE has logits that another program computed, and tokens that they follow: JSON objects a line, "
        "{\"tokens\": [464, 5417], \"logits\": [[...], [...]]} with a row of n_vocab numbers after each token, or one "
        "row after the last; or safetensors with tensors tokens (I32 or I64 [n]) and logits (F32 or F64 [n, n_vocab] "
        "or [n_vocab]), or several pairs tokens.A and logits.A. Printed are the largest absolute difference, the "
        "largest share of it in a row's spread (largest logit - smallest), KL(golden || model) of each row, and how "
        "often both hold the same token most likely.\n"
        "The figures depend on model, text, window and stride alone, not on threads (bf16: and on the kernels).",
        "gpt2 eval perplexity book.txt\n"
        "gpt2 eval perplexity --bos sentence.txt\n"
        "gpt2 eval perplexity -m int4.gpt2 --against f32.gpt2 book.txt\n"
        "head -c 100000 book.txt | gpt2 eval perplexity --json -\n"
        "gpt2 eval hellaswag -m gpt2 --limit 200 --details out.jsonl val.jsonl\n"
        "gpt2 eval arc --shots 25 --shots-from train.jsonl test.jsonl\n"
        "gpt2 eval golden -m gpt2 --max-difference 1e-3 logits.safetensors"};
  }

  std::vector<OptionGroup> options() override {
    std::vector<Option> model = model_options(model_);
    model.insert(model.begin() + 1,
                 {"--against", "", "The reference of a comparison: a .gpt2 file or a checkpoint directory.",
                  name_value("MODEL", against_)});
    model.push_back({"--kv-dtype", "", "Type of the cache (default: f32 for f32 models, f16 otherwise).",
                     choice_value(kv_type_, {{"f32", KvType::f32}, {"f16", KvType::f16}})});
    model.push_back({"-t,--threads", "", kThreadsHelp,
                     whole_value(threads_, 1, ThreadTeam::kMaxThreads)});
    std::vector<OptionGroup> groups = {
        {"Windows",
         {{"--window", "", "Tokens that are seen together (default: n_positions of the model, at most 1024).",
           whole_value(window_, 2, 1u << 30)},
          {"--stride", "", "Tokens from one window's start to the next (default: half the window).",
           whole_value(stride_, 1, 1u << 30)}}},
        {"Text",
         {{"--bos", "", "Put the beginning-of-text token first: every token of the text is scored, and one is enough.",
           flag_value(bos_)}}},
        {"Output",
         {{"--json", "", "Print one JSON object.", flag_value(json_)},
          {"--force", "", "Replace the file of --details or --write if it is there.", flag_value(force_)},
          {"-q,--quiet", "", "No progress.", flag_value(model_.verbosity, Verbosity::quiet)}}},
        {"Models", std::move(model)}};
    for (OptionGroup& group : tasks_.options()) groups.push_back(std::move(group));
    for (OptionGroup& group : golden_.options()) groups.push_back(std::move(group));
    return groups;
  }

  int run(const std::vector<std::string>& operands) override {
    const std::string what = operands.empty() ? "" : operands[0];
    const std::optional<Task> task = find_task(what);
    const bool golden = what == "golden";
    if (what != "perplexity" && !task && !golden) {
      fail(ExitCode::usage,
           "eval: expected what to measure (perplexity, choices, lambada, hellaswag, piqa, winogrande, arc or golden), "
           "found " + (operands.empty() ? "nothing" : "\"" + printable(what) + "\""));
    }
    if (operands.size() != 2) {
      fail(ExitCode::usage, "eval " + what + ": expected one FILE (- is stdin), found " +
                                std::to_string(operands.size() - 1));
    }
    const auto refuse = [&](bool given, const char* options) {
      if (given) fail(ExitCode::usage, "eval " + what + ": expected none of the options of " + options);
    };
    refuse(!task && tasks_.wanted(), "tasks (--limit, --shots, --shots-from, --delimiter, --details)");
    refuse(!golden && golden_.wanted(), "golden (--max-kl, --max-difference, --write)");
    refuse((task || golden) && (window_ || stride_ || bos_ || against_),
           "perplexity (--window, --stride, --bos, --against)");
    return task || golden ? run_engine(task, operands[1]) : run_perplexity(operands[1]);
  }

 private:
  // What needs no more than an engine: a task, or without one goldens.
  int run_engine(std::optional<Task> task, const std::string& file) const {
    const KernelTable& kernels = choose_kernels();
    const Model model = load_model(model_);
    const ThreadChoice threads = chosen_threads(threads_);
    EngineOptions engine;
    engine.kernels = &kernels;
    engine.threads = threads.threads;
    engine.team_use = threads.use;
    engine.kv_type = kv_type_.value_or(default_kv_type(model.weights()));
    engine.prefill_chunk = affordable_outputs(model.config(), engine.prefill_chunk);
    if (!task) return golden_.run(file, {model, model_, dtypes_of(model), engine, json_, force_});
    tasks_.run(*task, file, {model, model_, dtypes_of(model), engine, json_, force_});
    return static_cast<int>(ExitCode::ok);
  }

  int run_perplexity(const std::string& file) const {
    const KernelTable& kernels = choose_kernels();
    const Model model = load_model(model_);
    const std::optional<Model> reference = load_reference(model);
    const std::string text = read_input_file(file, kMaxText);
    const std::vector<TokenId> tokens = tokens_of(text, model, printable(file, 400));
    Report report;
    report.file = file;
    report.n_bytes = text.size();
    report.n_words = count_words(text);
    report.bos = bos_;
    report.model = model.name();
    report.dtype = dtypes_of(model);
    if (reference) {
      report.against = reference->name();
      report.against_dtype = dtypes_of(*reference);
    }
    measure(model, reference ? &*reference : nullptr, tokens, kernels, report);
    model.check_unchanged();
    if (reference) reference->check_unchanged();
    write_output(json_ ? as_json(report) : as_text(report));
    return static_cast<int>(ExitCode::ok);
  }

  std::vector<TokenId> tokens_of(const std::string& text, const Model& model, const std::string& name) const {
    std::vector<TokenId> tokens;
    if (bos_ && model.config().bos_token_id < 0)
      fail(ExitCode::input, "eval: --bos: the model has no beginning-of-text token");
    if (bos_) tokens.push_back(model.config().bos_token_id);
    model.tokenizer().encode(text, Specials::as_text, tokens);
    if (tokens.size() < 2) {
      fail(ExitCode::input, name + ": text: expected at least " +
                                (bos_ ? "1 token, found 0"
                                      : "2 tokens, found " + std::to_string(tokens.size()) + " (--bos: 1 is enough)"));
    }
    return tokens;
  }

  std::optional<Model> load_reference(const Model& model) const {
    if (!against_) return std::nullopt;
    ModelChoice choice = model_;
    choice.path = against_;
    Model reference = load_model(choice);
    if (const auto id = first_difference(model.tokenizer(), reference.tokenizer())) {
      fail(ExitCode::model, "--against " + printable(reference.name(), 400) + ": expected the tokenizer of " +
                                printable(model.name(), 400) + ", found another from token " + std::to_string(*id) +
                                " on");
    }
    if (reference.config().n_vocab != model.config().n_vocab) {
      fail(ExitCode::model, "--against " + printable(reference.name(), 400) + ": n_vocab: expected " +
                                std::to_string(model.config().n_vocab) + ", found " +
                                std::to_string(reference.config().n_vocab));
    }
    return reference;
  }

  void measure(const Model& model, const Model* reference, std::span<const TokenId> tokens, const KernelTable& kernels,
               Report& report) const {
    const Config& other = (reference != nullptr ? *reference : model).config();
    const uint32_t n_ctx = std::min(model.config().n_ctx, other.n_ctx);
    EvalOptions options;
    options.kernels = &kernels;
    const ThreadChoice choice = chosen_threads(threads_);
    options.threads = choice.threads;
    options.team_use = choice.use;
    options.window = window_.value_or(std::min(kUsualWindow, n_ctx));
    options.stride = stride_.value_or(options.window / 2);
    options.kv_type = kv_type_;
    if (options.window < 2 || options.window > n_ctx) {
      fail(ExitCode::usage, "eval: --window: expected 2 to " + std::to_string(n_ctx) +
                                ", the model's positions, found " + std::to_string(options.window));
    }
    if (options.stride >= options.window) {
      fail(ExitCode::usage, "eval: --stride: expected 1 to " + std::to_string(options.window - 1) +
                                ", less than the window, found " + std::to_string(options.stride));
    }
    report.window = options.window;
    report.stride = options.stride;
    report.kernels = kernels.name;
    catch_interrupts();
    ProgressBar bar("tokens", model_.verbosity, human_count);
    report.evaluation = evaluate(model, reference, tokens, options, [&](uint64_t done, uint64_t total) {
      if (interrupt_flag()) throw Interrupted{};
      bar.update(done, total);
    });
    report.seconds = bar.seconds();
  }

  static std::string as_text(const Report& report);
  static std::string as_json(const Report& report);

  EvalTasksCommand tasks_;
  EvalGoldenCommand golden_;
  ModelChoice model_;
  std::optional<std::string> against_;
  std::optional<KvType> kv_type_;
  std::optional<uint32_t> threads_, window_, stride_;
  bool json_ = false, bos_ = false, force_ = false;
};

std::string Eval::as_text(const Report& r) {
  constexpr auto kLeft = Table::Align::left;
  const auto scored = static_cast<double>(r.evaluation.n_scored);
  Table table({kLeft, kLeft});
  table.row({"text", printable(r.file, 400) + ": " + std::to_string(r.n_bytes) + " bytes, " +
                         std::to_string(r.n_words) + " words, " +
                         std::to_string(r.evaluation.n_scored + (r.bos ? 0 : 1)) + " tokens"});
  table.row({"model", printable(r.model, 400) + " (" + r.dtype + ")"});
  if (r.evaluation.divergence) table.row({"reference", printable(r.against, 400) + " (" + r.against_dtype + ")"});
  table.row({"windows", std::to_string(r.window) + " tokens, " + std::to_string(r.stride) + " apart; every token " +
                            (r.bos ? "" : "but the first ") + "scored once, " + std::to_string(r.evaluation.n_scored) +
                            " in all"});
  table.row({"token perplexity", significant(r.token_perplexity(), 8) + "  exp(NLL / scored tokens)"});
  table.row(
      {"word perplexity", r.n_words > 0 ? significant(r.word_perplexity(), 8) + "  exp(NLL / words)" : "no words"});
  table.row({"bits per byte", significant(r.bits_per_byte(), 8) + "  NLL / ln 2 / bytes"});
  if (const auto& divergence = r.evaluation.divergence) {
    table.row({"KL(reference || model)", "mean " + significant(divergence->mean, 4) + ", max " +
                                             significant(divergence->max, 4) + " nats per scored token"});
    table.row({"top-1 agreement", fixed(100 * r.top1_agreement(), 2) + " %"});
  }
  table.row({"time", human_time(r.seconds) + ", " + human_count(scored / std::max(r.seconds, 1e-9)) + " tokens/s, " +
                         std::string(r.kernels) + ", " + std::to_string(r.evaluation.threads) +
                         (r.evaluation.threads == 1 ? " thread" : " threads")});
  return table.text();
}

std::string Eval::as_json(const Report& r) {
  JsonObject object;
  object.string("file", r.file)
      .string("model", r.model)
      .string("dtype", r.dtype)
      .whole("window", r.window)
      .whole("stride", r.stride)
      .raw("bos", r.bos ? "true" : "false")
      .whole("bytes", r.n_bytes)
      .whole("words", r.n_words)
      .whole("tokens", r.evaluation.n_scored)
      .real("nll", r.evaluation.nll)
      .real("token_perplexity", r.token_perplexity())
      .real("word_perplexity", r.word_perplexity())
      .real("bits_per_byte", r.bits_per_byte());
  if (const auto& divergence = r.evaluation.divergence) {
    object.string("against", r.against)
        .string("against_dtype", r.against_dtype)
        .real("kl_mean", divergence->mean)
        .real("kl_max", divergence->max)
        .real("top1_agreement", r.top1_agreement());
  }
  object.string("kernels", r.kernels).whole("threads", r.evaluation.threads).real("seconds", r.seconds);
  return object.text() + "\n";
}

}  // namespace

std::unique_ptr<Command> make_eval() { return std::make_unique<Eval>(); }

}  // namespace gpt2
