// Backslash escapes in arguments, for -e.
#pragma once

#include <string>
#include <string_view>

namespace gpt2 {

// Returns `text` in which \n \t \r \0 \a \b \e \f \v \\ \" \' \xHH (a byte) \uHHHH and \UHHHHHHHH (a character)
// have become what they stand for.
// Throws Error (exit 2) that starts with `what` and names the escape that is none of them.
std::string unescape(std::string_view text, std::string_view what);

}  // namespace gpt2
