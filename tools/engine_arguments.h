// The options that say what the engine computes with, for the tables of commands that generate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/engine/engine.h"
#include "tools/options.h"

namespace gpt2 {

class EngineArguments {
 public:
  // -t and --kv-dtype. Their values are this object's.
  std::vector<Option> options();
  // The kernels and threads of this machine where nothing else is asked for. Throws Error as choose_kernels() does.
  EngineOptions resolve(const Model& model) const;
  // Why it is that many threads.
  std::string reason_for_threads() const;

 private:
  std::optional<uint32_t> threads_;
  std::optional<KvType> kv_type_;
};

// The rows of prompts that one step computes, at most `wanted`, so that what they work in stays within 256 MiB whatever the widths
// of a model are. No bit depends on it.
uint32_t prompt_rows(const Config& config, uint32_t wanted);

}  // namespace gpt2
