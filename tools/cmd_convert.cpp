// gpt2 convert: a Hugging Face checkpoint or a GGUF file becomes one file that is only mapped; and back.
#include <filesystem>

#include "src/base/error.h"
#include "src/io/output_file.h"
#include "src/convert/convert.h"
#include "src/convert/gguf_export.h"
#include "src/convert/hf_export.h"
#include "src/convert/keep_types.h"
#include "src/convert/model_source.h"
#include "src/convert/parameter_count.h"
#include "src/io/checkpoint.h"
#include "tools/commands.h"
#include "tools/load_model.h"
#include "tools/model_path.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxText = uint64_t{1} << 30;  // bytes

// What --dtype says: one type for all, or each matrix's own. Nothing said is `keep` where there is anything to keep.
struct TypeChoice {
  std::optional<DType> dtype;
};
const std::vector<std::pair<std::string, TypeChoice>> kDTypes = {{"f32", {DType::f32}},
                                                                 {"bf16", {DType::bf16}},
                                                                 {"int8", {DType::int8}},
                                                                 {"int8g32", {DType::int8g32}},
                                                                 {"int4", {DType::int4}},
                                                                 {"keep", {}}};

enum class Format { gpt2, gguf, hf };
const std::vector<std::pair<std::string, std::optional<Format>>> kFormats = {
    {"gpt2", Format::gpt2}, {"gguf", Format::gguf}, {"hf", Format::hf}};

// "TENSOR=DTYPE", appended to the rules.
OptionValue keep_value(std::vector<KeepRule>& out) {
  return {"TENSOR=DTYPE", "TENSOR=f32|bf16|int8|int8g32|int4", [&out](std::string_view text) {
            const size_t equals = text.rfind('=');
            if (equals == 0 || equals == std::string_view::npos) return false;
            const auto dtype = dtype_from_name(text.substr(equals + 1));
            if (dtype) out.push_back({std::string(text.substr(0, equals)), *dtype});
            return dtype.has_value();
          }};
}

class Convert final : public Command {
 public:
  CommandText text() const override {
    return {
        "convert", "SRC DST", "Makes a .gpt2 file from a Hugging Face checkpoint or a GGUF file, and those from it.",
        "SRC is a directory with config.json, the tokenizer (tokenizer.json, or vocab.json and merges.txt) and the "
        "weights (model.safetensors, or shards with model.safetensors.index.json) in F32, F16, BF16 or F64, or the "
        "name of one as -m takes it; of GPT-2 or of its family: gpt_bigcode, gptj, gpt_neox, gpt_neo, opt, phi, "
        "stablelm, llama, mistral, qwen2 or gemma. Nothing else is needed: no Python, no network.\n"
        "Or SRC is a GGUF file of gpt2, starcoder, llama, qwen2, gptneox, phi2, stablelm or gemma, whole (not split), "
        "with tensors in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL or IQ4_XS.\n"
        "A DST that ends in .gguf becomes a GGUF file, of a .gpt2 file or of what --dtype makes of another SRC: F32, "
        "BF16, int8 and int8g32 as Q8_0, int4 as Q4_0, whose values are the model's to the bit. What GGUF cannot say "
        "(an activation that its architecture does not have, a window, ...) is refused by its key.\n"
        "With --to hf DST is a new directory that transformers opens: config.json, model.safetensors (quantised "
        "matrices as the f32 values that they stand for), tokenizer.json or tokenizer.model, tokenizer_config.json.\n"
        "DST appears whole or not at all: it is written as another file, synced, and then gets its name. The same "
        "checkpoint gives the same bytes. Only a regular file that is no part of SRC is ever replaced; a symbolic link "
        "stays, and its target is written.",
        "gpt2 convert ~/models/gpt2 gpt2.gpt2\n"
        "gpt2 convert SmolLM2-135M-Instruct.Q4_K_M.gguf smollm2.gpt2\n"
        "gpt2 convert gpt2-int8.gpt2 gpt2.Q8_0.gguf\n"
        "gpt2 convert --to hf gpt2.gpt2 gpt2-directory\n"
        "gpt2 convert --force DIR model.gpt2 && gpt2 generate -m model.gpt2 \"Hello\"\n"
        "gpt2 inspect --verify model.gpt2"};
  }

  std::vector<OptionGroup> options() override {
    return {
        {"Options",
         {{"--dtype", "",
           "Type of the matrices in DST (default f32; keep for a GGUF file that is quantised). int8 has groups of 64 "
           "weights with a scale, int8g32 and int4 groups of 32; in int4 files wte stays int8. keep: of a quantised "
           "GGUF file Q4_0 becomes int4, Q8_0, Q5_0 and IQ4_NL int8g32 with the same values (Q8_0 that was written of "
           "int8 is int8 again), what has no equal int8 from its decoded values; -v says which.",
           choice_value(types_, kDTypes)},
          {"--keep", "", "Another type for the tensors that match a pattern; repeatable: 'h.0.*=bf16'.",
           keep_value(options_.keep)},
          {"--to", "", "The format of DST (default gguf where its name ends so, else gpt2).",
           choice_value(format_, kFormats)},
          {"--draft-vocab", "",
           "For a draft (generate --draft-model): its head keeps only the N most frequent tokens of --text, which is "
           "all that it can propose; a head of N rows costs less, and the text stays the same.",
           whole_value(options_.draft_vocab, 1, kMaxVocab)},
          {"--text", "", "The text whose tokens --draft-vocab counts (-: stdin).", name_value("FILE", text_)},
          {"-f,--force", "", "Replace DST if it is there.", flag_value(force_)},
          {"-q,--quiet", "", "No progress, no warnings, no summary.", flag_value(verbosity_, Verbosity::quiet)},
          verbose_option(verbosity_)}}};
  }

  int run(const std::vector<std::string>& operands) override {
    if (operands.size() != 2) {
      fail(ExitCode::usage, "convert: expected SRC and DST, found " + std::to_string(operands.size()) +
                                " operands (gpt2 convert -h has examples)");
    }
    const std::string source = find_source(operands[0]), &destination = operands[1];
    check_paths(source, destination);
    if ((options_.draft_vocab > 0) != text_.has_value()) {
      fail(ExitCode::usage, std::string("convert: expected --draft-vocab and --text together, found ") +
                                (text_ ? "--text" : "--draft-vocab") + " alone");
    }
    options_.dtype = types_.dtype;
    if (text_) options_.draft_text = read_input_file(*text_, kMaxText);
    catch_interrupts();
    InputFiles inputs;
    inputs.add_model(source, "SRC");
    if (text_) inputs.add(*text_, "--text");
    ConvertReport report;
    double seconds = 0;
    {
      ProgressBar bar("converting", verbosity_);
      const Progress progress = [&](uint64_t done, uint64_t total) {
        if (interrupt_flag()) throw Interrupted{};
        bar.update(done, total);
      };
      report = format_of(destination) == Format::hf ? write_directory(source, destination, progress)
                                                    : write_file(source, destination, inputs, progress);
      seconds = bar.seconds();
    }
    print_report(report, destination, seconds);
    return static_cast<int>(ExitCode::ok);
  }

 private:
  void check_paths(const std::string& source, const std::string& destination) const {
    std::error_code error;
    if (destination.empty() || destination == "-") {
      fail(ExitCode::usage, "convert: DST: expected a file's name, found \"" + destination +
                                "\" (stdout cannot be written in pieces; ./- is a file)");
    }
    if (source == destination || std::filesystem::equivalent(source, destination, error)) {
      fail(ExitCode::usage, "convert: SRC and DST are the same: " + printable(source, 400));
    }
    if (format_of(destination) != Format::hf && std::filesystem::is_directory(destination, error)) {
      fail(ExitCode::usage, "convert: DST: expected a file, found the directory " + printable(destination, 400));
    }
  }

  // A .gpt2 file, or what the options make of another source.
  Model open_model(const std::string& source, std::vector<std::string>& warnings) {
    if (is_directory(source) || is_gguf(source)) {
      MemorySink sink;
      const Progress progress = [](uint64_t, uint64_t) {
        if (interrupt_flag()) throw Interrupted{};
      };
      warnings = convert_source(source, sink, progress).warnings;
      return Model::from_memory(sink.take(), source);
    }
    if (options_.dtype || !options_.keep.empty() || options_.draft_vocab > 0) {
      fail(ExitCode::usage, "convert: expected no --dtype, --keep or --draft-vocab for an SRC that has its types: " +
                                printable(source, 400));
    }
    Model model = Model::open(source);
    verify_checksums(model.file(), source);
    return model;
  }

  ConvertReport convert_source(const std::string& source, ByteSink& sink, const Progress& progress) {
    if (options_.dtype) return convert_checkpoint(source, options_, sink, progress);
    KeptReport kept = convert_keeping_types(source, options_, sink, progress);
    kept_types_ = std::move(kept.types);
    return std::move(kept.report);
  }

  Format format_of(const std::string& destination) const {
    return format_.value_or(destination.ends_with(".gguf") ? Format::gguf : Format::gpt2);
  }

  // `write` takes the model.
  template <class Write>
  ConvertReport export_model(const std::string& source, Write write) {
    ConvertReport report;
    const Model model = open_model(source, report.warnings);
    write(model);
    model.check_unchanged();
    report.config = model.config();
    report.n_parameters = count_parameters(report.config);
    return report;
  }

  ConvertReport write_file(const std::string& source, const std::string& destination, const InputFiles& inputs,
                           const Progress& progress) {
    OutputFile file(destination, force_ ? Overwrite::replace : Overwrite::refuse, inputs);
    tell_leftovers(file);
    report_truncated_files(file.name_meanwhile());
    const ConvertReport report =
        format_of(destination) == Format::gguf
            ? export_model(source, [&](const Model& model) { write_gguf(model, file, progress); })
            : convert_source(source, file, progress);
    file.commit();
    return report;
  }

  ConvertReport write_directory(const std::string& source, const std::string& destination, const Progress& progress) {
    OutputDirectory directory(destination);
    report_truncated_files();
    const ConvertReport report =
        export_model(source, [&](const Model& model) { write_hf(model, directory, progress); });
    directory.commit();
    return report;
  }

  void tell_leftovers(const OutputFile& file) const {
    if (verbosity_ == Verbosity::quiet) return;
    for (const std::string& name : file.leftovers()) {
      say("warning: " + printable(name, 400) +
          ": part of a file, left by a run that was killed unless one is writing it now");
    }
  }

  // Warnings are for everyone who does not ask for silence, the summary for people.
  void print_report(const ConvertReport& report, const std::string& destination, double seconds) const {
    if (verbosity_ == Verbosity::quiet) return;
    for (const std::string& warning : report.warnings) say("warning: " + warning);
    if (!shows_notes(verbosity_)) return;
    if (!kept_types_.empty()) say("matrices: " + kept_types_);
    std::error_code error;
    const std::string weights = format_of(destination) == Format::hf ? destination + "/model.safetensors" : destination;
    const auto size = static_cast<double>(std::filesystem::file_size(weights, error));
    say(printable(destination, 400) + ": " + human_bytes(size) + ", " +
        human_count(static_cast<double>(report.n_parameters)) + " parameters, " + human_time(seconds));
  }

  ConvertOptions options_;
  TypeChoice types_;
  std::string kept_types_;  // what became of a quantised source's
  std::optional<Format> format_;
  std::optional<std::string> text_;
  bool force_ = false;
  Verbosity verbosity_ = Verbosity::normal;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace gpt2
