// Names for files that are not what was asked for, so that an error can say what they are.
#pragma once

#include <string_view>

namespace gpt2 {

// Returns what the file that begins so is, as a person would say it, with what to do about it; empty for what is not
// known. Asked only about files that are not in the form expected: a good one may begin like another by chance.
std::string_view foreign_format(std::string_view begin);

}  // namespace gpt2
