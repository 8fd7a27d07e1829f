// tokenizer.json, the file of Hugging Face's `tokenizers`, and the parts of it that the files beside it have too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "src/io/json.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {

inline constexpr uint64_t kMaxTokenizerBytes = 64u << 20;

// Reads model BPE (merges as "a b" strings or as ["a", "b"] pairs), added_tokens, a normalizer, pre-tokenizer and
// decoder that tokenizer_steps.h knows, and a post-processor that puts tokens before a text. Throws Error (exit 3) that
// names the item.
void read_tokenizer_json(const std::string& path, Vocabulary& vocabulary);

// Its parts. Each throws Error (exit 3) that names `file` and `item`.
uint32_t token_id(const Json& value, std::string_view file, const std::string& item);
// {"token": id, ...}, into tokens.
void read_tokens(const Json& vocab, std::string_view file, Vocabulary& vocabulary);
// "left right": exactly one space between two non-empty parts.
std::pair<std::string, std::string> split_merge(std::string_view line, std::string_view file, const std::string& item);
// A merge makes a token of the vocabulary, and a token has few ways to be made (two, in the largest that are
// published): another one past that is an error.
void check_merge_count(const Vocabulary& vocabulary, std::string_view file);
// special, lstrip, rstrip, single_word and normalized of an added token, all false where they are absent, but that what
// is not special is normalized.
AddedToken read_flags(const Json& token, std::string_view file, const std::string& item);

bool is_true(const Json* value);
bool is_absent(const Json* value);  // or null

}  // namespace gpt2
