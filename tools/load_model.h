// Which model and which kernels a command uses: the options -m and -v, $GPT2_MODEL, the built-in model, $GPT2_ISA.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kernels/kernels.h"
#include "src/io/output_path.h"
#include "src/model/model.h"
#include "tools/options.h"
#include "tools/terminal.h"

namespace gpt2 {

struct ModelChoice {
  std::optional<std::string> path;  // a .gpt2 or GGUF file, a checkpoint directory, or a name
  Verbosity verbosity = Verbosity::normal;
};

// Returns -m and -v, for a command's table.
std::vector<Option> model_options(ModelChoice& choice);
Option verbose_option(Verbosity& verbosity);

// Adds the files behind the choice; none of them for the built-in model. Throws Error (exit 3) for a name that nothing
// has.
void add_inputs(const ModelChoice& choice, std::string_view role, InputFiles& inputs);

// Opens the model; a checkpoint directory or a GGUF file is converted in memory. Throws Error (exit 3), also for a
// draft whose head lacks tokens.
Model load_model(const ModelChoice& choice);

// Opens any model, also one whose head lacks tokens, which can only draft.
Model load_any_model(const ModelChoice& choice);

// Returns the best kernels of this machine, or those that $GPT2_ISA names. Throws Error: exit 2 for an unknown name,
// exit 5 for one that cannot run here.
const KernelTable& choose_kernels();

}  // namespace gpt2
