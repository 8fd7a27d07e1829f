// Warnings of one kind may be as many as a file has tensors: the first few are said, the others counted.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gpt2 {

inline constexpr size_t kFewWarnings = 4;

// Appends the first of `found`, then "and N more WHAT" if there are others.
void add_first_few(std::vector<std::string>& warnings, const std::vector<std::string>& found, const std::string& what);

}  // namespace gpt2
