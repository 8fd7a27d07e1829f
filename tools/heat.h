// Texts in which each token shows how surprising it is: as a colour behind it, or as a mark below it.
#pragma once

#include <cstdint>
#include <string>

#include "src/measure/part_scores.h"

namespace gpt2 {

// Levels of surprisal, and the bits from which each counts.
inline constexpr size_t kHeatLevels = 8;
inline constexpr double kHeatBits[kHeatLevels] = {0, 2, 4, 6, 8, 10, 13, 16};
// Returns the level of a token; 0 for one that is not scored.
size_t heat_level(const TokenScore& score);

struct HeatStyle {
  bool colors = false;  // else marks
  uint32_t width = 80;  // columns of a row
};

// Returns the line that says what the levels look like.
std::string heat_legend(const HeatStyle& style);
// Returns the text in rows that are no wider than the style says, broken between words where that is possible; and a
// line that says what it is worth.
std::string heat_text(const ScoredText& text, const HeatStyle& style);

}  // namespace gpt2
