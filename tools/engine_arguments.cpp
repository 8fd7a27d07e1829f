#include "tools/engine_arguments.h"

#include "src/base/thread_team.h"
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
  options.threads = threads_ ? *threads_ : choose_threads().threads;
  options.kv_type = kv_type_ ? *kv_type_ : default_kv_type(model.weights());
  return options;
}

std::string EngineArguments::reason_for_threads() const { return threads_ ? "-t" : choose_threads().reason; }

}  // namespace gpt2
