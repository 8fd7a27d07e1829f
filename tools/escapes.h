// Backslash escapes: undone in arguments, for -e, and made where a text has to stay on its line.
#pragma once

#include <string>
#include <string_view>

namespace gpt2 {

// Returns `text` in which \n \t \r \0 \a \b \e \f \v \\ \" \' \xHH (a byte) \uHHHH and \UHHHHHHHH (a character)
// have become what they stand for.
// Throws Error (exit 2) that starts with `what` and names the escape that is none of them.
std::string unescape(std::string_view text, std::string_view what);

// Returns `text` with newlines and other control characters as \n, \r, \t, \xNN and backslashes as \\.
std::string escaped_line(std::string_view text);
// Appends a byte as \xNN.
void append_escaped_byte(char byte, std::string& out);

}  // namespace gpt2
