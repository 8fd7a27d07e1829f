// Attention maps as one self-contained SVG: a square for each pair of tokens, as dark as the probability is large. It
// follows the reader's choice of dark or light, has no script, and loads nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gpt2 {

struct AttentionMap {
  uint32_t layer = 0, head = 0;
  std::vector<float> probabilities;  // [n, n]: row i is what token i attends to
};

// Returns the drawing. `tokens` are their texts, any bytes.
std::string attention_svg(std::span<const std::string> tokens, std::span<const AttentionMap> maps,
                          const std::string& title);

}  // namespace gpt2
