#include "src/text/rule_differences.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "src/base/error.h"

namespace gpt2 {
namespace {

class Differences {
 public:
  void add(std::string_view what, std::string_view mine, std::string_view other) {
    if (mine == other) return;
    if (!text_.empty()) text_ += ", ";
    text_ += std::string(what) + " " + std::string(mine) + " instead of " + std::string(other);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string quoted(const Tokenizer& tokenizer, TokenId id) {
  return "\"" + printable(tokenizer.token_bytes(id), 60) + "\"";
}

std::string before_text(const Tokenizer& tokenizer) {
  std::string text;
  for (const TokenId id : tokenizer.rules().before_text) text += (text.empty() ? "" : " ") + quoted(tokenizer, id);
  return text.empty() ? "nothing" : text;
}

std::string unknown_text(const Tokenizer& tokenizer) {
  const TokenizerRules& rules = tokenizer.rules();
  if (rules.unknown < 0) return "an error";
  return quoted(tokenizer, rules.unknown) + (rules.fuse_unknown ? " for all that stand together" : " each");
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// How the token is found in a text.
std::string_view kind_of(const Tokenizer& tokenizer, const TokenizerTables& tables, TokenId id) {
  if (tokenizer.is_special(id)) return "special";
  const auto added = tables.special_tokens;
  return std::find(added.begin(), added.end(), static_cast<uint32_t>(id)) != added.end() ? "added" : "plain";
}

}  // namespace

std::string rule_differences(const TokenizerTables& mine_tables, const TokenizerTables& other_tables) {
  const Tokenizer mine(mine_tables, "tokenizer"), other(other_tables, "tokenizer");
  const TokenizerRules &a = mine.rules(), &b = other.rules();
  Differences differences;
  differences.add("symbols", name_of(a.symbols), name_of(b.symbols));
  differences.add("split rule", name_of(a.split), name_of(b.split));
  differences.add("normal form", a.nfc ? "C" : "none", b.nfc ? "C" : "none");
  differences.add("prefix space", name_of(a.prefix_space), name_of(b.prefix_space));
  differences.add("before a text", before_text(mine), before_text(other));
  differences.add("whole pieces", a.ignore_merges ? "found" : "merged", b.ignore_merges ? "found" : "merged");
  differences.add("unknown characters", unknown_text(mine), unknown_text(other));
  const auto n = static_cast<TokenId>(std::min(mine.n_tokens(), other.n_tokens()));
  for (TokenId id = 0; id < n; ++id) {
    const std::string_view kind = kind_of(mine, mine_tables, id), expected = kind_of(other, other_tables, id);
    if (kind == expected) continue;
    differences.add("token " + std::to_string(id) + " " + quoted(mine, id), kind, expected);
    break;
  }
  const auto flags = [](const TokenizerTables& t) { return std::as_bytes(t.added_flags); };
  if (!same(flags(mine_tables), flags(other_tables))) differences.add("flags of added tokens", "these", "others");
  const auto merges = [](const TokenizerTables& t) { return std::as_bytes(t.merges); };
  if (!same(merges(mine_tables), merges(other_tables)) || a.unused != b.unused) {
    differences.add("merges", "these", "others");
  }
  return differences.take();
}

}  // namespace gpt2
