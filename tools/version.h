// What this program is: version, commit, compiler, instruction sets.
#pragma once

#include <string>
#include <string_view>

namespace gpt2 {

std::string_view version();
std::string_view version_date();  // "2026-11-25"   // "0.1.0"
std::string build_details();  // lines for `gpt2 --version -v`

}  // namespace gpt2
