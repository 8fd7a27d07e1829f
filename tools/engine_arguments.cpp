#include "tools/engine_arguments.h"

#include "tools/load_model.h"

namespace gpt2 {

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
  return options;
}

ThreadChoice chosen_threads(const std::optional<uint32_t>& asked) {
  return asked ? ThreadChoice{*asked, "-t", TeamUse::all} : choose_threads();
}

ThreadChoice EngineArguments::thread_choice() const { return chosen_threads(threads_); }

}  // namespace gpt2
