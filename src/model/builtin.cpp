#include "src/model/builtin.h"

extern "C" const std::byte gpt2_builtin_begin[];
extern "C" const std::byte gpt2_builtin_end[];

namespace gpt2 {

std::span<const std::byte> builtin_model() noexcept { return {gpt2_builtin_begin, gpt2_builtin_end}; }

}  // namespace gpt2
