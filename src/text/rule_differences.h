// What two tokenizers with the same tokens do otherwise with a text, in words for people.
#pragma once

#include <string>

#include "src/text/tokenizer.h"

namespace gpt2 {

// Returns "split rule gpt2 instead of llama3, ...": what `mine` does where `other` does the latter. Empty if both give
// every text the same ids, whatever ids without a text stand behind. Requires tokens with the same texts.
std::string rule_differences(const TokenizerTables& mine, const TokenizerTables& other);

}  // namespace gpt2
