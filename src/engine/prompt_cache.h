// A computed prompt on disk: keys and values of whole blocks of 64 tokens, for a later process whose prompt begins with
// the same tokens. It belongs to one model file, one type of cache and one class of arithmetic, and says so; anything
// else is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/engine/engine.h"
#include "src/io/output_path.h"

namespace gpt2 {

// Takes what `path` holds into the engine's prefix cache, where start() and prefill() find it, and returns its tokens.
// Requires EngineOptions::prefix_cache. Throws Error (exit 3, naming the item) if the file is no prompt cache, is
// damaged, or is another model's; nothing is taken from it then.
std::vector<int32_t> load_prompt_cache(const std::string& path, Engine& engine);

// Throws Error (exit 2) unless `path` can become a prompt cache without harm: what it leads to is not there, empty, or
// a prompt cache, of whatever model, and none of `inputs`.
void check_prompt_cache_path(const std::string& path, const InputFiles& inputs);

// Writes the whole blocks that the engine has of these tokens, over what was there; the file appears whole or not at
// all. Writes nothing if there is none. Throws Error (exit 1; exit 2 as check_prompt_cache_path).
void save_prompt_cache(const std::string& path, std::span<const int32_t> tokens, Engine& engine,
                       const InputFiles& inputs);

// What may give other bits, as a word: bf16 has the bits of its tier, the other types have the same everywhere.
std::string class_of_arithmetic(const Model& model, const EngineOptions& options);

}  // namespace gpt2
