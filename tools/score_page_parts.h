// The parts of the page of `score --html` that no text changes: its style and its script.
#pragma once

#include <string_view>

namespace gpt2 {

extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

}  // namespace gpt2
