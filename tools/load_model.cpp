#include "tools/load_model.h"

#include <cstdlib>

#include "src/base/error.h"
#include "src/io/checkpoint.h"
#include "src/model/builtin.h"
#include "src/convert/convert.h"
#include "src/convert/model_source.h"
#include "tools/model_path.h"
#include "tools/progress.h"
#include "tools/signals.h"

namespace gpt2 {
namespace {

// An environment variable that is set to something.
std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

// `target`: where the converted file would be of use.
Model convert_in_memory(const std::string& source, const std::string& target, Verbosity verbosity) {
  MemorySink sink;
  ConvertReport report;
  {
    ProgressBar bar("converting " + printable(source, 40), verbosity);
    report = convert_checkpoint(source, {}, sink, [&](uint64_t done, uint64_t total) { bar.update(done, total); });
  }
  if (shows_notes(verbosity)) {
    for (const std::string& warning : report.warnings) say("warning: " + warning);
    const std::string name = printable(source, 400);
    say("converted " + name + " in memory; to do that once: gpt2 convert " + name + " " + printable(target, 400));
  }
  return Model::from_memory(sink.take(), source);
}

}  // namespace

std::vector<Option> model_options(ModelChoice& choice) {
  return {
      {"-m,--model", "",
       "A .gpt2 or GGUF file, the directory of a Hugging Face checkpoint, or the name of one in the folders that "
       "gpt2 doctor lists (default: $GPT2_MODEL, else the built-in model).",
       name_value("MODEL", choice.path)},
      verbose_option(choice.verbosity)};
}

Option verbose_option(Verbosity& verbosity) {
  return {"-v,--verbose", "", "Say on stderr what is done.", flag_value(verbosity, Verbosity::verbose)};
}

void add_inputs(const ModelChoice& choice, std::string_view role, InputFiles& inputs) {
  const std::optional<std::string> name = choice.path ? choice.path : environment("GPT2_MODEL");
  if (name) inputs.add_model(find_model(*name), role);
}

Model load_any_model(const ModelChoice& choice) {
  const std::optional<std::string> name = choice.path ? choice.path : environment("GPT2_MODEL");
  if (!name) {
    if (builtin_model().empty()) {
      fail(ExitCode::model, "this build has no built-in model: name one with -m FILE or GPT2_MODEL");
    }
    return Model::view(builtin_model(), kBuiltinName);
  }
  const std::string path = find_model(*name);
  report_truncated_files();
  if (!is_directory(path) && !is_gguf(path)) return Model::open(path);
  return convert_in_memory(path, path == *name ? "FILE.gpt2" : conversion_target(*name), choice.verbosity);
}

Model load_model(const ModelChoice& choice) {
  Model model = load_any_model(choice);
  const Config& config = model.config();
  if (config.n_draft_vocab > 0) {
    fail_model(model.name(), kDraftHead, "a head of all " + std::to_string(config.n_vocab) + " tokens",
               "one of " + std::to_string(config.n_draft_vocab) + ": this is a draft, for --draft-model");
  }
  return model;
}

const KernelTable& choose_kernels() {
  const std::optional<std::string> name = environment("GPT2_ISA");
  if (!name) return *runnable_kernels().tables[0];
  if (const KernelTable* table = find_kernels(name->c_str())) return *table;
  TierInfo tiers[12];
  const size_t count = all_tiers(tiers);
  std::string names;
  for (size_t i = 0; i < count; ++i) {
    if (*name == tiers[i].name) fail(ExitCode::cpu, "GPT2_ISA=" + *name + ": " + tiers[i].missing);
    names += (names.empty() ? "" : ", ") + std::string(tiers[i].name);
  }
  fail(ExitCode::usage, "GPT2_ISA: expected one of " + names + ", found \"" + printable(*name) + "\"");
}

}  // namespace gpt2
