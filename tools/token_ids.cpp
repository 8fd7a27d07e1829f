#include "tools/token_ids.h"

#include <algorithm>
#include <charconv>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr std::string_view kSpaces = " \t\r\n", kSeparators = " \t\r\n,";

std::string_view without_brackets(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces), last = text.find_last_not_of(kSpaces);
  const bool bracketed = first != std::string_view::npos && first < last && text[first] == '[' && text[last] == ']';
  return bracketed ? text.substr(first + 1, last - first - 1) : text;
}

}  // namespace

std::vector<TokenId> parse_token_ids(std::string_view text, uint32_t n_vocab, std::string_view what) {
  std::vector<TokenId> ids;
  text = without_brackets(text);
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kSeparators), text.size()));
    if (text.empty()) return ids;
    const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id >= n_vocab) {
      fail(ExitCode::input, std::string(what) + ": expected token ids from 0 to " + std::to_string(n_vocab - 1) +
                                ", found \"" + printable(word) + "\"");
    }
    ids.push_back(static_cast<TokenId>(id));
    text.remove_prefix(word.size());
  }
}

std::string join_token_ids(std::span<const TokenId> ids, std::string_view separator) {
  std::string text;
  for (const TokenId id : ids) {
    if (!text.empty()) text += separator;
    text += std::to_string(id);
  }
  return text;
}

}  // namespace gpt2
