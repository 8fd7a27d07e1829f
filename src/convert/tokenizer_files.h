// The tokenizer of a checkpoint directory, as `transformers` would load it: tokenizer.json, else vocab.json +
// merges.txt; with tokenizer_config.json, special_tokens_map.json and added_tokens.json beside them. What of it cannot
// be honoured is refused by its key and value: no pattern from a file is ever run.
#pragma once

#include <string>

#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// Reads DIR's tokenizer. From tokenizer.json: model BPE (merges as "a b" strings or as ["a", "b"] pairs), added_tokens,
// a normalizer and pre-tokenizer that tokenizer_steps.h knows, and a post-processor that puts tokens before a text;
// it wins over vocab.json and merges.txt. Added tokens are united from all files; where two describe one,
// tokenizer_config.json's added_tokens_decoder wins, then tokenizer.json. Tokens that are named for a role (bos_token,
// pad_token, ...) are special, and so is <|endoftext|> wherever the vocabulary has it. add_prefix_space is
// tokenizer_config.json's, unless its class is the one that takes tokenizer.json whole; add_bos_token counts where
// there is no tokenizer.json. Throws Error (exit 3) that names file and item.
Vocabulary read_vocabulary(const std::string& directory);

}  // namespace gpt2
