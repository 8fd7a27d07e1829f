#include "tools/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace gpt2 {
namespace {

std::string scaled(double value, const char* const (&units)[5], std::string_view suffix) {
  size_t unit = 0;
  while (unit + 1 < std::size(units) && value >= 999.5) {
    value /= 1000;
    ++unit;
  }
  const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::string text = fixed(value, digits);
  const std::string name = units[unit] + std::string(suffix);
  return name.empty() ? text : text + " " + name;
}

}  // namespace

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

double rounded(double value) { return std::round(value * 1000) / 1000; }

std::string significant(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string human_bytes(double bytes) { return scaled(bytes, {"", "k", "M", "G", "T"}, "B"); }
std::string human_count(double count) { return scaled(count, {"", "k", "M", "G", "T"}, ""); }

std::string human_time(double seconds) {
  if (seconds < 10) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<uint64_t>(std::llround(std::min(seconds, 1e9)));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

std::string Table::text() const {
  std::vector<size_t> widths(columns_.size());
  for (const auto& cells : rows_) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string out;
  for (const auto& cells : rows_) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - cells[i].size(), ' ');
      line += (i == 0 ? "" : "  ") + (columns_[i] == Align::left ? cells[i] + padding : padding + cells[i]);
    }
    out += line.erase(line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

}  // namespace gpt2
