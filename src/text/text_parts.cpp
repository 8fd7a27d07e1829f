#include "src/text/text_parts.h"

#include <algorithm>

namespace gpt2 {
namespace {

// A part before its tokens are known: where what belongs to it begins, and what it shows.
struct Stretch {
  size_t from = 0, begin = 0, end = 0;
};

std::vector<Stretch> lines_of(std::string_view text) {
  std::vector<Stretch> lines;
  size_t from = 0;
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', from)) {
    const size_t end = at > from && text[at - 1] == '\r' ? at - 1 : at;
    lines.push_back({from, from, end});
    from = at + 1;
  }
  if (from < text.size()) lines.push_back({from, from, text.size()});
  return lines;
}

// Cuts words out of bytes that come one after the other.
class WordCutter {
 public:
  explicit WordCutter(std::string_view text) : text_(text) {}

  void push_bytes(size_t end) {
    for (; at_ < end; ++at_) {
      if (!separates_words(text_[at_])) {
        if (!inside_) begin_ = at_;
        inside_ = true;
      } else if (inside_) {
        close();
      }
    }
  }
  void push_special(size_t end) {
    if (inside_) close();
    begin_ = at_;
    at_ = end;
    close();
  }
  std::vector<Stretch> finish() {
    if (inside_) close();
    if (from_ < text_.size()) words_.push_back({from_, from_, text_.size()});
    return std::move(words_);
  }

 private:
  void close() {
    words_.push_back({from_, begin_, at_});
    from_ = at_;
    inside_ = false;
  }

  std::string_view text_;
  size_t at_ = 0, from_ = 0, begin_ = 0;
  bool inside_ = false;
  std::vector<Stretch> words_;
};

std::vector<Stretch> words_of(const WrittenText& text) {
  WordCutter cutter(text.text);
  for (size_t i = 0; i < text.n_tokens(); ++i) {
    if (text.is_special[i] && text.begins[i + 1] > text.begins[i]) {
      cutter.push_special(text.begins[i + 1]);
    } else {
      cutter.push_bytes(text.begins[i + 1]);
    }
  }
  return cutter.finish();
}

}  // namespace

std::string_view name_of(TextUnit unit) {
  switch (unit) {
    case TextUnit::document: return "document";
    case TextUnit::line: return "line";
    case TextUnit::word: return "word";
    case TextUnit::token: return "token";
  }
  return "?";
}

WrittenText written_text(const Tokenizer& tokenizer, std::span<const TokenId> before, std::span<const TokenId> tokens) {
  WrittenText written;
  written.begins.reserve(tokens.size() + 1);
  written.begins.push_back(0);
  written.is_special.reserve(tokens.size());
  TokenText text(tokenizer, before);
  for (const TokenId id : tokens) {
    written.text += text.next(id);
    written.begins.push_back(written.text.size());
    written.is_special.push_back(tokenizer.is_special(id));
  }
  return written;
}

std::vector<TextPart> parts_of(const WrittenText& text, TextUnit unit) {
  const size_t n_tokens = text.n_tokens();
  std::vector<TextPart> parts;
  if (unit == TextUnit::document) return {{0, text.text.size(), 0, n_tokens}};
  if (unit == TextUnit::token) {
    for (size_t i = 0; i < n_tokens; ++i) parts.push_back({text.begins[i], text.begins[i + 1], i, i + 1});
    return parts;
  }
  std::vector<Stretch> stretches = unit == TextUnit::line ? lines_of(text.text) : words_of(text);
  if (stretches.empty() && n_tokens > 0) stretches.push_back({});  // tokens without text
  for (size_t i = 0, token = 0; i < stretches.size(); ++i) {
    const size_t first = token;
    while (token < n_tokens && (i + 1 == stretches.size() || text.begins[token] < stretches[i + 1].from)) ++token;
    parts.push_back({stretches[i].begin, stretches[i].end, first, token});
  }
  return parts;
}

}  // namespace gpt2
