// The options that say what the engine computes with, for the tables of commands that generate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/thread_team.h"
#include "src/engine/engine.h"
#include "tools/options.h"

namespace gpt2 {

inline constexpr char kThreadsHelp[] =
    "Use exactly N threads. Default: at most $OMP_NUM_THREADS, else the usable physical cores; fewer where that is "
    "faster.";
// Returns the threads that -t asks for, or the default, with the reason.
ThreadChoice chosen_threads(const std::optional<uint32_t>& asked);

class EngineArguments {
 public:
  // Returns -t and --kv-dtype; their values are stored in this object.
  std::vector<Option> options();
  // Returns the kernels and threads of this machine where nothing else is asked for. Throws Error as choose_kernels()
  // does.
  EngineOptions resolve(const Model& model) const;
  // Returns how many threads, and why.
  ThreadChoice thread_choice() const;

 private:
  std::optional<uint32_t> threads_;
  std::optional<KvType> kv_type_;
};

// Returns what to say where a prompt of n_prompt tokens is computed in smaller pieces than it would be because the
// model is so wide (affordable_rows); nothing otherwise.
std::string rows_note(const Config& config, std::string_view name, uint64_t n_prompt);

}  // namespace gpt2
