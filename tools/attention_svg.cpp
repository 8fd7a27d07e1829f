#include "tools/attention_svg.h"

#include <algorithm>
#include <cmath>

#include "src/base/error.h"
#include "src/text/utf8.h"
#include "tools/format.h"

namespace gpt2 {
namespace {

constexpr int kCell = 16, kLetter = 7, kMargin = 16, kTitle = 28, kLegend = 44, kMostLetters = 16;
constexpr float kFaintest = 0.0005f;  // probabilities below are not drawn

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

// A token as a label: spaces are seen, bytes that are no characters are hexadecimal, the end of what is long is left
// out.
struct Label {
  std::string text;
  int n_characters = 0;
};
Label label_of(std::string_view token) {
  std::string shown;
  for (const char c : token) {
    if (c == ' ') {
      shown += "\xe2\x90\xa3";
    } else if (c == '\n') {
      shown += "\xe2\x86\xb5";
    } else {
      shown += c;
    }
  }
  const std::string safe = printable(shown, 200);
  Label label;
  for (size_t at = 0; at < safe.size();) {
    const CodePoint c = decode_utf8(std::string_view(safe).substr(at));
    if (label.n_characters == kMostLetters) {
      label.text += "\xe2\x80\xa6";
      break;
    }
    label.text += safe.substr(at, c.length);
    at += c.length;
    ++label.n_characters;
  }
  label.text = escaped(label.text);
  return label;
}

// The drawn opacity: the square root lets small probabilities be seen.
std::string opacity_of(float probability) { return fixed(std::sqrt(std::clamp(probability, 0.0f, 1.0f)), 3); }

std::string text_at(int x, int y, std::string_view attributes, std::string_view text) {
  return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" " + std::string(attributes) + ">" +
         std::string(text) + "</text>\n";
}

std::string square(int x, int y, int width, int height, std::string_view opacity, std::string_view tip) {
  return "<rect x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" + std::to_string(width) +
         "\" height=\"" + std::to_string(height) + "\" class=\"p\" fill-opacity=\"" + std::string(opacity) + "\"" +
         (tip.empty() ? "/>\n" : "><title>" + std::string(tip) + "</title></rect>\n");
}

// One map with its upper left corner at (x, y).
std::string map_at(int x, int y, int label_width, std::span<const Label> labels, const AttentionMap& map) {
  const auto n = static_cast<int>(labels.size());
  const int left = x + label_width, top = y + kTitle + label_width;
  std::string svg = text_at(left, y + 18, "class=\"t\"",
                            "layer " + std::to_string(map.layer) + ", head " + std::to_string(map.head));
  svg += "<path class=\"f\" d=\"M" + std::to_string(left) + " " + std::to_string(top) + "h" +
         std::to_string(kCell) + "l" + std::to_string(kCell * (n - 1)) + " " + std::to_string(kCell * (n - 1)) + "v" +
         std::to_string(kCell) + "h" + std::to_string(-kCell * n) + "z\"/>\n";
  for (int i = 0; i < n; ++i) {
    const std::string& label = labels[static_cast<size_t>(i)].text;
    const int middle = top + i * kCell + 12, column = left + i * kCell + 12;
    svg += text_at(left - 6, middle, "text-anchor=\"end\"", label);
    svg += text_at(column, top - 6,
                   "transform=\"rotate(-90 " + std::to_string(column) + " " + std::to_string(top - 6) + ")\"", label);
    for (int j = 0; j <= i; ++j) {
      const float p = map.probabilities[static_cast<size_t>(i) * labels.size() + static_cast<size_t>(j)];
      if (!(p >= kFaintest)) continue;
      svg += square(left + j * kCell, top + i * kCell, kCell - 1, kCell - 1, opacity_of(p),
                    label + " \xe2\x86\x92 " + labels[static_cast<size_t>(j)].text + ": " + fixed(p, 3));
    }
  }
  return svg;
}

std::string legend_at(int x, int y) {
  std::string svg = text_at(x, y + 14, "", "row: the token that looks, column: what it looks at; probability");
  constexpr float kMarks[] = {0.01f, 0.1f, 0.25f, 0.5f, 1.0f};
  for (int i = 0; i < 5; ++i) {
    svg += square(x + i * 52, y + 22, kCell - 1, kCell - 1, opacity_of(kMarks[i]), "");
    svg += text_at(x + i * 52 + kCell + 3, y + 34, "", significant(static_cast<double>(kMarks[i]), 3));
  }
  return svg;
}

}  // namespace

std::string attention_svg(std::span<const std::string> tokens, std::span<const AttentionMap> maps,
                          const std::string& title) {
  std::vector<Label> labels;
  int longest = 1;
  for (const std::string& token : tokens) {
    labels.push_back(label_of(token));
    longest = std::max(longest, labels.back().n_characters + 1);
  }
  const auto n = static_cast<int>(tokens.size()), n_maps = static_cast<int>(maps.size());
  const int label_width = longest * kLetter + 6;
  const int map_width = label_width + n * kCell, map_height = kTitle + map_width;
  const int columns = std::clamp(1100 / (map_width + kMargin), 1, std::max(n_maps, 1));
  const int legend_width = 66 * kLetter;
  const int width = std::max(columns * (map_width + kMargin), legend_width) + kMargin;
  const int height = kTitle + kLegend + (n_maps + columns - 1) / columns * (map_height + kMargin) + kMargin;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(width) + " " +
                    std::to_string(height) + "\" width=\"" + std::to_string(width) + "\" height=\"" +
                    std::to_string(height) + "\">\n<style>\n"
                    "svg { background: #ffffff; max-width: 100%; height: auto }\n"
                    "text { font: 11px ui-monospace, monospace; fill: #222222 }\n"
                    ".t { font: bold 14px system-ui, sans-serif }\n"
                    ".p { fill: #0b4fa8 }\n.f { fill: #eef1f5 }\n.b { fill: #ffffff }\n"
                    "@media (prefers-color-scheme: dark) {\n  svg { background: #14171b }\n  text { fill: #e6e8eb }\n"
                    "  .p { fill: #7fb8ff }\n  .f { fill: #20252b }\n  .b { fill: #14171b }\n}\n</style>\n"
                    "<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n";
  svg += text_at(kMargin, 22, "class=\"t\"", escaped(title)) + legend_at(kMargin, kTitle);
  for (int i = 0; i < n_maps; ++i) {
    const int x = kMargin + i % columns * (map_width + kMargin);
    const int y = kTitle + kLegend + kMargin + i / columns * (map_height + kMargin);
    svg += map_at(x, y, label_width, labels, maps[static_cast<size_t>(i)]);
  }
  return svg + "</svg>\n";
}

}  // namespace gpt2
