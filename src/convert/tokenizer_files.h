// The tokenizer of a checkpoint directory, as `transformers` would load it: tokenizer.model of SentencePiece, else
// tokenizer.json, else vocab.json + merges.txt; with tokenizer_config.json, special_tokens_map.json and
// added_tokens.json beside them. What of it cannot
// be honoured is refused by its key and value: no pattern from a file is ever run.
#pragma once

#include <string>

#include "src/text/tokenizer_builder.h"

namespace gpt2 {

// Reads DIR's tokenizer. tokenizer.model wins where it is SentencePiece's (sentencepiece.h), then tokenizer.json
// (tokenizer_json.h). Added tokens are united from all files but a tokenizer.json that does not count; where two
// describe one, tokenizer_config.json's added_tokens_decoder wins, then tokenizer.json. Tokens that are named for a
// role
// (bos_token, pad_token, ...) are special, and so is <|endoftext|> wherever the vocabulary has it. add_prefix_space is
// tokenizer_config.json's, unless its class is the one that takes tokenizer.json whole; add_bos_token counts where
// there is no tokenizer.json, and is true beside tokenizer.model unless it is there. Throws Error (exit 3) that names
// file and item.
Vocabulary read_vocabulary(const std::string& directory);

}  // namespace gpt2
