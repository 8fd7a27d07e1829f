// Unicode's normal form C (UAX 15), for tokenizers that bring a text into it first.
#pragma once

#include <string>
#include <string_view>

namespace gpt2 {

// Returns whether `text` is certainly in the form already: true for all below U+0300 (so that ASCII costs one look a
// byte), false for some texts that are in it.
bool surely_nfc(std::string_view text);

// Returns the text in the form. Bytes that are not UTF-8 stay as they are, and nothing composes across them.
std::string to_nfc(std::string_view text);

}  // namespace gpt2
