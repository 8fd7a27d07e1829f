// The model that is linked into the program (models/builtin.S).
#pragma once

#include <cstddef>
#include <span>

namespace gpt2 {

inline constexpr const char* kBuiltinName = "books (built in)";

// Returns a `.gpt2` file on a page boundary; empty in the build's first stage.
std::span<const std::byte> builtin_model() noexcept;

}  // namespace gpt2
