// Scored texts as one page of HTML that needs nothing beside itself: each token by its surprisal or by its rank, a
// histogram, and what was likely in the place of the token that is looked at.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/score_run.h"

namespace gpt2 {

// The texts behind so many tokens are counted and not shown.
inline constexpr uint64_t kMaxPageTokens = 20000;
inline constexpr uint32_t kPageAlternatives = 10;  // of each token

class ScorePage {
 public:
  // `tokenizer` outlives the page. `model`: its name.
  ScorePage(const Tokenizer& tokenizer, std::string model) : tokenizer_(tokenizer), model_(std::move(model)) {}

  // Adds a text, with rank, entropy and kPageAlternatives of each token, at any time: texts stand in the order of their
  // index.
  void add(const ScoredRecord& scored);
  // Returns the page.
  std::string html() const;

 private:
  static constexpr size_t kBins = 20;   // of one bit each, and one for all above
  static constexpr size_t kBands = 4;   // of ranks: up to 10, 100, 1000, and above

  struct Section {
    std::string html;
    uint64_t n_tokens = 0;
  };

  void count(const ScoredText& text);
  void keep(uint64_t index, Section section);
  std::string section(const ScoredRecord& scored) const;
  std::string alternatives(const ScoredRecord& scored, size_t i) const;
  std::string histogram() const;
  std::string bands() const;

  const Tokenizer& tokenizer_;
  std::string model_;
  std::map<uint64_t, Section> sections_;  // by index: the first texts that have kMaxPageTokens together
  std::array<uint64_t, kBins + 1> bins_ = {};
  std::array<uint64_t, kBands> bands_ = {};
  uint64_t n_tokens_ = 0, n_shown_ = 0, n_texts_ = 0;
};

// Returns the text as HTML: marks of HTML as entities, control characters but tab and newline as their pictures.
std::string html_text(std::string_view text);

}  // namespace gpt2
