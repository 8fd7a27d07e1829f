#include "src/text/tokenizer.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <limits>
#include <utility>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/text/merger.h"
#include "src/text/nfc.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";

// The text with a space for each mark of one.
std::string with_spaces(std::string_view text) {
  std::string spaced;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(kSpaceMark, at), text.size());
    spaced += text.substr(at, end - at);
    if (end < text.size()) spaced += ' ';
    at = end + kSpaceMark.size();
  }
  return spaced;
}

}  // namespace

std::string_view name_of(Symbols symbols) { return symbols == Symbols::bytes ? "bytes" : "characters"; }

std::string_view name_of(PrefixSpace prefix) {
  constexpr std::string_view names[] = {"false", "true", "first", "text", "stretch"};
  return names[static_cast<size_t>(prefix)];
}

size_t merge_slot(uint32_t left, uint32_t right, size_t n_slots) noexcept {
  const uint64_t key = (static_cast<uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15u;
  return static_cast<size_t>(key >> 32) & (n_slots - 1);
}

size_t text_slot(std::string_view text, size_t n_slots) {
  return static_cast<size_t>(xxh3(std::as_bytes(std::span(text)))) & (n_slots - 1);
}

Tokenizer::Tokenizer(const TokenizerTables& tables, std::string_view file) : tables_(tables), file_(file) {
  const auto refuse = [&](const char* item, const char* expected, size_t found) {
    fail_model(file, item, expected, std::to_string(found));
  };
  if (tables.offsets.empty() || tables.offsets.size() - 1 > static_cast<size_t>(std::numeric_limits<TokenId>::max())) {
    refuse("tokenizer.offsets", "1 to 2^31 entries", tables.offsets.size());
  }
  if (!std::has_single_bit(tables.merges.size())) {
    refuse("tokenizer.merges", "a power of two of slots", tables.merges.size());
  }
  if (tables.byte_tokens.size() != 256) refuse("tokenizer.byte_tokens", "256 entries", tables.byte_tokens.size());
  const TokenizerRules& rules = tables.rules;
  const bool characters = rules.symbols == Symbols::characters;
  if ((rules.ignore_merges || characters || !tables.texts.empty()) && !std::has_single_bit(tables.texts.size())) {
    refuse("tokenizer.texts", "a power of two of slots", tables.texts.size());
  }
  const auto check_ids = [&](const char* item, std::span<const TokenId> ids) {
    for (const TokenId id : ids) {
      if (id >= 0 && static_cast<size_t>(id) < n_tokens()) continue;
      fail_model(file, item, "ids below " + std::to_string(n_tokens()), std::to_string(id));
    }
  };
  check_ids("tokenizer.before_text", rules.before_text);
  check_ids("tokenizer.unused", rules.unused);
  if (rules.unknown != -1) check_ids("tokenizer.unknown", {&rules.unknown, 1});
  if (!std::is_sorted(rules.unused.begin(), rules.unused.end())) {
    fail_model(file, "tokenizer.unused", "ascending ids", "others");
  }
  if (!characters && rules.prefix_space != PrefixSpace::none && tables.byte_tokens[' '] >= n_tokens()) {
    fail_model(file, "tokenizer.prefix_space", "a vocabulary with a space", "one without");
  }
  take_added_tokens(file);
}

void Tokenizer::take_added_tokens(std::string_view file) {
  const auto &ids = tables_.special_tokens, &flags = tables_.added_flags;
  if (!flags.empty() && flags.size() != ids.size()) {
    fail_model(file, "tokenizer.added_flags", std::to_string(ids.size()) + " entries", std::to_string(flags.size()));
  }
  std::vector<AddedText> passes[2];
  std::deque<std::string> normal_forms;  // what the second pass looks for stands in a normalised text
  size_t bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint32_t flag = flags.empty() ? uint32_t{kAddedSpecial} : flags[i];
    if ((flag & ~kAddedFlagMask) != 0) {
      fail_model(file, "tokenizer.added_flags", "flags of " + std::to_string(kAddedFlagMask), std::to_string(flag));
    }
    const std::string_view text = token_bytes(static_cast<TokenId>(ids[i]));
    bytes += text.size();
    if (bytes > kMaxAddedBytes) {
      fail_model(file, "tokenizer.special_tokens", "texts of at most " + std::to_string(kMaxAddedBytes) + " bytes",
                 "more");
    }
    const bool second = (flag & kAddedNormalized) != 0;
    AddedText added = {text, static_cast<TokenId>(ids[i]), flag};
    if (second) added.text = normal_form(text, Stretch::later, normal_forms.emplace_back());
    passes[second ? 1 : 0].push_back(added);
  }
  plain_ = AddedTokens(passes[0]);
  normalized_ = AddedTokens(passes[1]);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  const auto index = static_cast<size_t>(id);
  if (id < 0 || index >= n_tokens()) return {};
  const size_t begin = tables_.offsets[index], end = tables_.offsets[index + 1];
  if (begin > end || end > tables_.bytes.size() || end - begin > kMaxTokenBytes) {
    fail_model(file_, "tokenizer.offsets of token " + std::to_string(id),
               "ascending ones up to " + std::to_string(tables_.bytes.size()) + ", at most " +
                   std::to_string(kMaxTokenBytes) + " apart",
               std::to_string(begin) + ", " + std::to_string(end));
  }
  return {tables_.bytes.data() + begin, end - begin};
}

std::optional<TokenId> Tokenizer::find_text(std::string_view text) const {
  const size_t n = tables_.texts.size(), most = std::min(n, kMaxProbes);
  size_t slot = text_slot(text, n);
  for (size_t probe = 0; probe < most; ++probe, slot = (slot + 1) & (n - 1)) {
    const uint32_t id = tables_.texts[slot];
    if (id == kNoToken) return std::nullopt;
    if (id < n_tokens() && token_bytes(static_cast<TokenId>(id)) == text) return static_cast<TokenId>(id);
  }
  fail_model(file_, "tokenizer.texts", "an empty slot within " + std::to_string(most), "none");
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  const auto& before = tables_.rules.before_text;
  const bool whole = ids.size() >= before.size() && std::equal(before.begin(), before.end(), ids.begin());
  std::string text;
  TokenText pieces(*this);
  for (const TokenId id : whole ? ids.subspan(before.size()) : ids) text += pieces.next(id);
  return text;
}

uint32_t Tokenizer::added_flags(TokenId id) const noexcept {
  const auto &ids = tables_.special_tokens, &flags = tables_.added_flags;
  const auto found = std::find(ids.begin(), ids.end(), static_cast<uint32_t>(id));
  if (found == ids.end()) return ~uint32_t{0};
  return flags.empty() ? uint32_t{kAddedSpecial} : flags[static_cast<size_t>(found - ids.begin())];
}

bool Tokenizer::is_special(TokenId id) const noexcept {
  const uint32_t flags = added_flags(id);
  return flags != ~uint32_t{0} && (flags & kAddedSpecial) != 0;
}

bool Tokenizer::ends_stretch(TokenId id) const noexcept { return (added_flags(id) & kAddedNormalized) == 0; }

bool Tokenizer::is_fallback_byte(TokenId id) const noexcept {
  if (tables_.rules.symbols == Symbols::bytes || id < 0) return false;
  const auto& bytes = tables_.byte_tokens;
  return std::find(bytes.begin(), bytes.end(), static_cast<uint32_t>(id)) != bytes.end();
}

bool Tokenizer::has_text(TokenId id, std::string_view text) const {
  const std::string_view bytes = token_bytes(id);
  if (bytes == text) return true;
  return tables_.rules.symbols == Symbols::characters && bytes.starts_with(' ') && bytes == with_spaces(text);
}

std::optional<TokenId> Tokenizer::find_token(std::string_view text) const {
  for (const uint32_t id : tables_.special_tokens) {
    if (has_text(static_cast<TokenId>(id), text)) return static_cast<TokenId>(id);
  }
  if (tables_.rules.symbols == Symbols::bytes) return std::nullopt;
  for (TokenId id = 0; static_cast<size_t>(id) < n_tokens(); ++id) {
    if (has_text(id, text)) return id;
  }
  return std::nullopt;
}

uint64_t Tokenizer::hash() const {
  Xxh3Stream hash;
  hash.update(std::as_bytes(tables_.bytes));
  hash.update(std::as_bytes(tables_.offsets));
  hash.update(std::as_bytes(tables_.merges));
  hash.update(std::as_bytes(tables_.byte_tokens));
  hash.update(std::as_bytes(tables_.special_tokens));
  const TokenizerRules &rules = tables_.rules, plain;
  if (rules == plain && tables_.added_flags.empty()) return hash.digest();  // as files have it since the first version
  const auto add = [&hash](auto value) { hash.update(std::as_bytes(std::span(&value, 1))); };
  const auto add_list = [&](const std::vector<TokenId>& ids) {
    add(static_cast<uint64_t>(ids.size()));
    hash.update(std::as_bytes(std::span(ids)));
  };
  hash.update(std::as_bytes(tables_.added_flags));
  add(rules.prefix_space);
  add(rules.split);
  add(rules.symbols);
  for (const bool flag : {rules.nfc, rules.ignore_merges, rules.fuse_unknown}) add(static_cast<uint8_t>(flag));
  add(rules.unknown);
  add_list(rules.before_text);
  add_list(rules.unused);
  return hash.digest();
}

void Tokenizer::push_bytes(std::string_view piece, size_t offset, std::vector<TokenId>& out) const {
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<unsigned char>(piece[i]);
    const uint32_t id = tables_.byte_tokens[byte];
    if (id >= n_tokens()) {
      fail(ExitCode::input, "prompt: byte " + std::to_string(byte) + " at offset " + std::to_string(offset + i) +
                                " has no token in this vocabulary (--tokens takes ids)");
    }
    out.push_back(static_cast<TokenId>(id));
  }
}

bool Tokenizer::push_fallback(std::string_view character, std::vector<TokenId>& out) const {
  const auto has_token = [&](char byte) {
    return tables_.byte_tokens[static_cast<unsigned char>(byte)] < n_tokens();
  };
  if (!std::all_of(character.begin(), character.end(), has_token)) return false;
  push_bytes(character, 0, out);
  return true;
}

// Bytes that are no UTF-8 become their own tokens, so that they come back (SentencePiece makes U+FFFD of each).
void Tokenizer::push_characters(std::string_view piece, size_t offset, std::vector<TokenId>& out) const {
  bool fuses = false;  // the last one was unknown
  for (size_t at = 0; at < piece.size();) {
    const CodePoint c = decode_utf8(piece.substr(at));
    const std::string_view character = piece.substr(at, c.length);
    const std::optional<TokenId> id = find_text(character);
    const bool known = id || push_fallback(character, out);
    if (id) {
      out.push_back(*id);
    } else if (!known && tables_.rules.unknown < 0) {
      fail(ExitCode::input, "prompt: the character at offset " + std::to_string(offset + at) +
                                " has no token in this vocabulary (--tokens takes ids)");
    } else if (!known && !fuses) {
      out.push_back(tables_.rules.unknown);
    }
    fuses = !known && tables_.rules.fuse_unknown;
    at += c.length;
  }
}

void Tokenizer::encode_text(std::string_view text, size_t offset, Merger& merger, std::vector<TokenId>& out) const {
  while (!text.empty()) {
    const bool characters = tables_.rules.symbols == Symbols::characters;
    const size_t length = characters ? text.size() : next_piece(text, tables_.rules.split);
    const std::string_view piece = text.substr(0, length);
    const std::optional<TokenId> whole = tables_.rules.ignore_merges ? find_text(piece) : std::nullopt;
    const size_t first = out.size();
    if (whole) {
      out.push_back(*whole);
    } else if (characters) {
      push_characters(piece, offset, out);
      merger.merge(out, first);
    } else {
      push_bytes(piece, offset, out);
      merger.merge(out, first);
    }
    text.remove_prefix(length);
    offset += length;
  }
}

namespace {

// Appends the ids of the added tokens in `text`; part(text, offset) takes what stands between them.
template <class Part>
void split_at(const AddedTokens& added, std::string_view text, Specials specials, std::vector<TokenId>& out,
              Part part) {
  if (!added.any(specials)) return part(text, size_t{0});
  size_t at = 0;
  for (const AddedTokens::Match& match : added.find(text, specials).matches) {
    if (match.begin > at) part(text.substr(at, match.begin - at), at);
    out.push_back(match.id);
    at = match.end;
  }
  part(text.substr(at), at);
}

}  // namespace

std::string_view Tokenizer::normal_form(std::string_view text, Stretch stretch, std::string& buffer) const {
  const TokenizerRules& rules = tables_.rules;
  if (rules.nfc && !surely_nfc(text)) text = buffer = to_nfc(text);
  if (rules.symbols == Symbols::bytes || text.empty()) return text;
  const bool prefix = (rules.prefix_space == PrefixSpace::stretch && stretch != Stretch::goes_on) ||
                      (rules.prefix_space == PrefixSpace::text && stretch == Stretch::first);
  if (!prefix && text.find(kSpaceMark) == std::string_view::npos) return text;
  return buffer = std::string(prefix ? 1 : 0, ' ') + with_spaces(text);
}

void Tokenizer::encode(std::string_view text, Specials specials, std::vector<TokenId>& out) const {
  out.insert(out.end(), tables_.rules.before_text.begin(), tables_.rules.before_text.end());
  encode_stretches(text, specials, true, out);
}

void Tokenizer::encode_behind(std::string_view text, Specials specials, std::vector<TokenId>& out) const {
  encode_stretches(text, specials, false, out);
}

void Tokenizer::encode_stretches(std::string_view text, Specials specials, bool at_start,
                                 std::vector<TokenId>& out) const {
  Merger merger(tables_, file_);
  const PrefixSpace prefix = tables_.rules.prefix_space;
  split_at(plain_, text, specials, out, [&](std::string_view part, size_t begin) {
    std::string buffer;
    const Stretch stretch = begin > 0 ? Stretch::later : at_start ? Stretch::first : Stretch::goes_on;
    part = normal_form(part, stretch, buffer);
    split_at(normalized_, part, specials, out, [&](std::string_view piece, size_t offset) {
      const bool may_have_space = offset > 0 || stretch != Stretch::goes_on;
      const bool place = may_have_space && (prefix == PrefixSpace::unspaced ||
                                            (prefix == PrefixSpace::first && begin + offset == 0));
      // The space stands at the offset before the piece's own, and always has a token.
      if (place && !piece.empty() && piece[0] != ' ') {
        encode_text(" " + std::string(piece), begin + offset - 1, merger, out);
      } else {
        encode_text(piece, begin + offset, merger, out);
      }
    });
  });
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, Specials specials) const {
  std::vector<TokenId> ids;
  encode(text, specials, ids);
  return ids;
}

TokenText::TokenText(const Tokenizer& tokenizer, std::span<const TokenId> before) : tokenizer_(tokenizer) {
  const TokenizerRules& rules = tokenizer.rules();
  strips_ = rules.symbols == Symbols::characters && rules.prefix_space != PrefixSpace::none;
  strips_again_ = strips_ && (rules.prefix_space == PrefixSpace::stretch ||
                              rules.prefix_space == PrefixSpace::unspaced);
  if (!strips_) return;
  for (const TokenId id : before) next(id);
}

std::string_view TokenText::next(TokenId id) {
  std::string_view bytes = tokenizer_.token_bytes(id);
  if (!strips_ && !strips_again_) return bytes;
  const bool added = tokenizer_.ends_stretch(id);
  if (strips_ && !added && bytes.starts_with(' ') && !tokenizer_.is_fallback_byte(id)) bytes.remove_prefix(1);
  strips_ = added ? strips_ || strips_again_ : strips_ && tokenizer_.token_bytes(id).empty();
  return bytes;
}

std::optional<size_t> first_difference(const Tokenizer& a, const Tokenizer& b) {
  if (a.hash() == b.hash()) return std::nullopt;
  const size_t shared = std::min(a.n_tokens(), b.n_tokens());
  for (size_t id = 0; id < shared; ++id) {
    const auto token = static_cast<TokenId>(id);
    if (a.token_bytes(token) != b.token_bytes(token)) return id;
  }
  return shared;
}

}  // namespace gpt2
