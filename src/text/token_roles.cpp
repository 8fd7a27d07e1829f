#include "src/text/token_roles.h"

namespace gpt2 {
namespace {

// StarCoder and Granite; SantaCoder; Qwen 2.5 Coder, CodeGemma and StarCoder's followers; Code Llama; DeepSeek Coder.
constexpr std::string_view kPrefix[] = {"<fim_prefix>", "<fim-prefix>", "<|fim_prefix|>", "\u2581<PRE>", "<PRE>",
                                        "<\uff5cfim\u2581begin\uff5c>"};
constexpr std::string_view kSuffix[] = {"<fim_suffix>", "<fim-suffix>", "<|fim_suffix|>", "\u2581<SUF>", "<SUF>",
                                        "<\uff5cfim\u2581hole\uff5c>"};
constexpr std::string_view kMiddle[] = {"<fim_middle>", "<fim-middle>", "<|fim_middle|>", "\u2581<MID>", "<MID>",
                                        "<\uff5cfim\u2581end\uff5c>"};
constexpr std::string_view kFimPad[] = {"<fim_pad>", "<fim-pad>", "<|fim_pad|>"};
constexpr std::string_view kEndOfTurn[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "\u2581<EOT>",
                                           "<EOT>"};
constexpr std::string_view kPad[] = {"<pad>", "<|pad|>", "[PAD]", "<PAD>"};
constexpr std::string_view kUnknown[] = {"<unk>", "<|unk|>", "[UNK]", "<UNK>"};

}  // namespace

std::string_view name_of(TokenRole role) {
  constexpr std::string_view names[] = {"eot",        "pad",        "unk",    "fim_prefix",
                                        "fim_suffix", "fim_middle", "fim_pad"};
  static_assert(std::size(names) == kTokenRoles);
  return names[static_cast<size_t>(role)];
}

std::span<const std::string_view> texts_of(TokenRole role) {
  switch (role) {
    case TokenRole::eot: return kEndOfTurn;
    case TokenRole::pad: return kPad;
    case TokenRole::unk: return kUnknown;
    case TokenRole::fim_prefix: return kPrefix;
    case TokenRole::fim_suffix: return kSuffix;
    case TokenRole::fim_middle: return kMiddle;
    case TokenRole::fim_pad: return kFimPad;
  }
  return {};
}

TokenId role_by_text(const Tokenizer& tokenizer, TokenRole role) {
  if (role == TokenRole::unk && tokenizer.rules().unknown >= 0) return tokenizer.rules().unknown;
  for (const std::string_view text : texts_of(role)) {
    if (const std::optional<TokenId> id = tokenizer.find_token(text)) return *id;
  }
  return -1;
}

}  // namespace gpt2
