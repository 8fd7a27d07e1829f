// Tokens by what they are for, where a model has them: the end of a turn, padding, the marks of a text with a gap.
// Which token begins and which ones end a text is the model's Config's to say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "src/text/tokenizer.h"

namespace gpt2 {

//   eot         ends a turn of a conversation, or what fills a gap
//   pad, unk    stand for nothing, and for what has no token
//   fim_prefix  "fill in the middle": before the text before a gap; fim_suffix before the text behind it; fim_middle
//               before what fills it (Bavarian et al. 2022); fim_pad stands for nothing there
enum class TokenRole : uint8_t { eot, pad, unk, fim_prefix, fim_suffix, fim_middle, fim_pad };
inline constexpr size_t kTokenRoles = 7;
// Returns "eot", "fim_prefix", ...: part of the file format.
std::string_view name_of(TokenRole role);
constexpr TokenRole token_role(size_t index) { return static_cast<TokenRole>(index); }

// The token of each role; -1: none.
struct TokenRoles {
  std::array<TokenId, kTokenRoles> ids = {-1, -1, -1, -1, -1, -1, -1};

  TokenId& operator[](TokenRole role) noexcept { return ids[static_cast<size_t>(role)]; }
  TokenId operator[](TokenRole role) const noexcept { return ids[static_cast<size_t>(role)]; }
};

// Returns the texts of the role's token in the models that are known, the most usual first.
std::span<const std::string_view> texts_of(TokenRole role);

// Returns the token that has the role by its text, -1 if none has; of `unk` the one of the tokenizer's rules. Looks at
// every added token, and where symbols are characters at every token.
TokenId role_by_text(const Tokenizer& tokenizer, TokenRole role);

}  // namespace gpt2
