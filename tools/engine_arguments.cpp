#include "tools/engine_arguments.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/base/thread_team.h"
#include "src/model/workspace.h"
#include "tools/load_model.h"

namespace gpt2 {

std::string rows_note(const Config& config, std::string_view name, uint64_t n_prompt) {
  const auto rows = static_cast<uint32_t>(std::min<uint64_t>(n_prompt, EngineOptions().prefill_chunk));
  const uint32_t given = affordable_rows(config, rows);
  if (given >= rows) return "";
  return "note: " + printable(name, 400) + ": its layers are so wide that a prompt is computed " +
         std::to_string(given) + " tokens at a time instead of " + std::to_string(rows) + ", which stays within " +
         std::to_string(kStepMemory >> 20) + " MiB";
}

std::vector<Option> EngineArguments::options() {
  return {{"-t,--threads", "", kThreadsHelp,
           whole_value(threads_, 1, ThreadTeam::kMaxThreads)},
          {"--kv-dtype", "", "Type of the cached keys and values (default: f32 for f32 models, else f16).",
           choice_value(kv_type_, {{"f32", KvType::f32}, {"f16", KvType::f16}})}};
}

EngineOptions EngineArguments::resolve(const Model& model) const {
  EngineOptions options;
  options.kernels = &choose_kernels();
  const ThreadChoice choice = chosen_threads(threads_);
  options.threads = choice.threads;
  options.team_use = choice.use;
  options.kv_type = kv_type_ ? *kv_type_ : default_kv_type(model.weights());
  options.prefill_chunk = affordable_rows(model.config(), options.prefill_chunk);
  return options;
}

ThreadChoice chosen_threads(const std::optional<uint32_t>& asked) {
  return asked ? ThreadChoice{*asked, "-t", TeamUse::all} : choose_threads();
}

ThreadChoice EngineArguments::thread_choice() const { return chosen_threads(threads_); }

}  // namespace gpt2
