// The steps of tokenizer.json that stand before the merges: which of the rules that are written by hand
// (src/text/split.h) they are.
#pragma once

#include <string_view>
#include <vector>

#include "src/io/json.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// Whether a step's "type" is `name`.
bool is_type(const Json& step, std::string_view name);
// The steps of a member that is one step or a Sequence of them; `list` is the sequence's key.
std::vector<const Json*> steps_of(const Json& json, std::string_view list);

// Reads tokenizer.json's normalizer into nfc of the rules: none, or NFC. Throws Error (exit 3) that names any other.
void read_normalizer(const Json& tokenizer, std::string_view file, TokenizerRules& rules);

// Reads tokenizer.json's pre_tokenizer into split and prefix_space of the rules: ByteLevel; Digits, then ByteLevel;
// Split by a known pattern, then ByteLevel without its own. Throws Error (exit 3) that names what is none of these: a
// pattern of a file is compared and never run.
void read_pre_tokenizer(const Json& tokenizer, std::string_view file, TokenizerRules& rules);

}  // namespace gpt2
