#include "src/engine/infill.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr TokenRole kMarks[] = {TokenRole::fim_prefix, TokenRole::fim_suffix, TokenRole::fim_middle};

// Returns their tokens. Throws Error (exit 3) naming those that the model lacks.
std::array<TokenId, std::size(kMarks)> marks_of(const Model& model) {
  std::array<TokenId, std::size(kMarks)> ids;
  std::string missing;
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = model.token_of(kMarks[i]);
    if (ids[i] < 0) missing += (missing.empty() ? "" : ", ") + std::string(name_of(kMarks[i]));
  }
  if (missing.empty()) return ids;
  fail_model(model.name(), missing,
             "tokens for filling in the middle (such as <fim_prefix>, ▁<PRE> or <|fim_prefix|>)",
             "none: the model was not taught to");
}

bool is_middle_mark(const Model& model, TokenId id) {
  constexpr TokenRole role = TokenRole::fim_middle;
  if (model.file().roles[role] >= 0) return id == model.file().roles[role];
  const auto texts = texts_of(role);
  return std::any_of(texts.begin(), texts.end(),
                     [&](std::string_view text) { return model.tokenizer().has_text(id, text); });
}

}  // namespace

std::vector<TokenId> infill_prompt(const Model& model, const Gap& gap, Specials specials) {
  const auto [fim_prefix, fim_suffix, fim_middle] = marks_of(model);
  const Tokenizer& tokenizer = model.tokenizer();
  const std::vector<TokenId>& before = tokenizer.rules().before_text;
  std::vector<TokenId> ids = tokenizer.encode(gap.prefix, specials);
  ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(before.size()), fim_prefix);
  ids.push_back(fim_suffix);
  tokenizer.encode_behind(gap.suffix, specials, ids);
  ids.push_back(fim_middle);
  return ids;
}

std::vector<std::string> infill_ends(const Model& model) {
  std::vector<std::string> texts;
  for (const TokenRole role : {TokenRole::eot, TokenRole::fim_pad}) {
    const TokenId id = model.token_of(role);
    if (id >= 0 && !model.is_eos(id)) texts.emplace_back(model.tokenizer().token_bytes(id));
  }
  return texts;
}

TokenText text_behind(const Model& model, std::span<const TokenId> prompt) {
  TokenText text(model.tokenizer(), prompt);
  if (!prompt.empty() && is_middle_mark(model, prompt.back())) text.keep_space();
  return text;
}

}  // namespace gpt2
