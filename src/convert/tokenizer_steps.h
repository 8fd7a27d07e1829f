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

// Reads tokenizer.json's normalizer, pre_tokenizer and decoder into the rules. For byte-level BPE: no normalizer or
// NFC; ByteLevel, or Digits and ByteLevel, or Split by a known pattern and ByteLevel without its own. For
// SentencePiece's BPE
// (symbols are characters): spaces become U+2581 by the normalizer Replace, with Prepend before it or not, or by the
// pre-tokenizer Metaspace; and the decoder takes that back. Throws Error (exit 3) that names what is none of these: a
// pattern of a file is compared and never run.
void read_steps(const Json& tokenizer, std::string_view file, TokenizerRules& rules);

// Returns the regular expression of a rule that is a Split with one; empty for the others.
std::string_view split_pattern(SplitRule rule);

}  // namespace gpt2
