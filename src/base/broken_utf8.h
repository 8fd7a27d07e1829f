// Bytes that are no UTF-8: how many of them one U+FFFD stands for, everywhere in this program.
#pragma once

#include <cstddef>
#include <string_view>

namespace gpt2 {

// Returns the length of the maximal subpart at the start of `text`, which begins with no well-formed sequence: the
// longest beginning of one, at least a byte (Unicode 15, 3.9; the decoder of WHATWG's Encoding Standard does the same).
size_t broken_utf8_length(std::string_view text);

// Returns whether all of `text`, which is not empty, begins a well-formed sequence and more bytes can complete it.
bool may_become_utf8(std::string_view text);

}  // namespace gpt2
