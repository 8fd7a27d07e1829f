// Manual pages in roff, printed from the tables of commands and options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

// "gpt2", "gpt2-generate", ...: section 1.
std::vector<std::string> manual_pages();
// Throws Error (exit 2) if there is no page of this name.
std::string manual_page(std::string_view page);

}  // namespace gpt2
