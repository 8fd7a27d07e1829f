#include "tools/engine_arguments.h"

#include "tools/load_model.h"

namespace gpt2 {

std::vector<Option> EngineArguments::options() {
  return {{"-t,--threads", "", "Threads (default: $OMP_NUM_THREADS, else the physical cores that the process may use).",
           whole_value(threads_, 1, ThreadTeam::kMaxThreads)},
          {"--kv-dtype", "", "Type of the cached keys and values (default: f32 for f32 models, else f16).",
           choice_value(kv_type_, {{"f32", KvType::f32}, {"f16", KvType::f16}})}};
}

EngineOptions EngineArguments::resolve(const Model& model) const {
  EngineOptions options;
  options.kernels = &choose_kernels();
  options.threads = thread_choice().threads;
  options.kv_type = kv_type_ ? *kv_type_ : default_kv_type(model.weights());
  return options;
}

ThreadChoice EngineArguments::thread_choice() const {
  return threads_ ? ThreadChoice{*threads_, "-t"} : choose_threads();
}

}  // namespace gpt2
