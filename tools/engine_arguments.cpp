#include "tools/engine_arguments.h"

#include <algorithm>

#include "kernels/layout.h"
#include "src/base/checked.h"
#include "src/base/thread_team.h"
#include "tools/load_model.h"

namespace gpt2 {
namespace {

// What the rows of a prompt may take beside the model. Every GPT-2 stays far below; a file of 35 MB can claim a width
// that does not.
constexpr uint64_t kPromptMemory = uint64_t{256} << 20;

}  // namespace

uint32_t prompt_rows(const Config& config, uint32_t wanted) {
  // The residual stream, its norm and attention's output; queries, keys and values; the MLP, once more as its product
  // wants it; the logits of a text that is scored.
  const uint64_t floats = uint64_t{4} * config.n_embd +
                          uint64_t{3} * config.n_head * round_up(config.d_head, kPanelRows) +
                          uint64_t{2} * config.n_inner + config.n_vocab;
  return static_cast<uint32_t>(std::clamp<uint64_t>(kPromptMemory / (floats * sizeof(float)), 1, wanted));
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
  options.prefill_chunk = prompt_rows(model.config(), options.prefill_chunk);
  return options;
}

ThreadChoice chosen_threads(const std::optional<uint32_t>& asked) {
  return asked ? ThreadChoice{*asked, "-t", TeamUse::all} : choose_threads();
}

ThreadChoice EngineArguments::thread_choice() const { return chosen_threads(threads_); }

}  // namespace gpt2
