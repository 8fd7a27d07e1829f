#include "tools/heat.h"

#include <algorithm>
#include <vector>

#include "src/text/display.h"
#include "src/text/utf8.h"
#include "tools/format.h"

namespace gpt2 {
namespace {

// Of the 256 colours: from a pale yellow to a dark red, with text that can be read on each.
constexpr const char* kColors[kHeatLevels] = {"",
                                              "\x1b[38;5;16;48;5;230m",
                                              "\x1b[38;5;16;48;5;229m",
                                              "\x1b[38;5;16;48;5;222m",
                                              "\x1b[38;5;16;48;5;215m",
                                              "\x1b[38;5;16;48;5;209m",
                                              "\x1b[38;5;231;48;5;160m",
                                              "\x1b[38;5;231;48;5;88m"};
constexpr const char* kReset = "\x1b[0m";
constexpr uint32_t kTab = 8;

struct Glyph {
  std::string text;
  uint32_t width = 1;
  size_t level = 0;
  bool begins_token = false, is_space = false;
};

// Rows of glyphs as wide as they may be.
class Rows {
 public:
  explicit Rows(const HeatStyle& style) : style_(style) {}

  void push(Glyph glyph) {
    if (column_ + glyph.width > style_.width) break_row();
    column_ += glyph.width;
    row_.push_back(std::move(glyph));
  }
  uint32_t column() const noexcept { return column_; }
  void end_row() {
    write(row_.size());
    column_ = 0;
  }
  std::string finish() {
    if (!row_.empty()) end_row();
    return std::move(out_);
  }

 private:
  // What stands behind the last space goes to the next row.
  void break_row() {
    size_t n = row_.size();
    while (n > 0 && !row_[n - 1].is_space) --n;
    write(n > 0 ? n : row_.size());
    column_ = 0;
    for (const Glyph& glyph : row_) column_ += glyph.width;
  }

  // Writes the first n glyphs.
  void write(size_t n) {
    style_.colors ? write_colors(n) : write_marks(n);
    row_.erase(row_.begin(), row_.begin() + static_cast<std::ptrdiff_t>(n));
  }

  void write_colors(size_t n) {
    size_t level = 0;
    for (size_t i = 0; i < n; ++i) {
      if (row_[i].level != level) {
        if (level > 0) out_ += kReset;
        out_ += kColors[level = row_[i].level];
      }
      out_ += row_[i].text;
    }
    if (level > 0) out_ += kReset;
    out_ += '\n';
  }

  void write_marks(size_t n) {
    std::string marks;
    for (size_t i = 0; i < n; ++i) {
      const Glyph& glyph = row_[i];
      out_ += glyph.text;
      for (uint32_t k = 0; k < glyph.width; ++k) {
        const bool begins = k == 0 && (glyph.begins_token || i == 0);
        marks += glyph.level == 0 ? ' ' : begins ? static_cast<char>('0' + glyph.level) : '.';
      }
    }
    marks.erase(marks.find_last_not_of(' ') + 1);
    out_ += '\n' + (n > 0 ? marks + '\n' : "");
  }

  HeatStyle style_;
  std::string out_;
  std::vector<Glyph> row_;
  uint32_t column_ = 0;
};

// A control character as \xNN, which a terminal does not carry out.
std::string visible(uint32_t control) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return {'\\', 'x', kDigits[control >> 4], kDigits[control & 15]};
}

void push_character(uint32_t point, Glyph glyph, Rows& rows) {
  if (point == '\n') return rows.end_row();
  glyph.is_space = point == ' ' || point == '\t';
  if (point == '\t') {
    glyph.width = kTab - rows.column() % kTab;
    glyph.text.assign(glyph.width, ' ');
  } else if (point < 0x20 || (point >= 0x7F && point < 0xA0)) {
    glyph.text = visible(point);
    glyph.width = 4;
  } else {
    append_utf8(point, glyph.text);
    glyph.width = display_width(point);
  }
  rows.push(std::move(glyph));
}

}  // namespace

size_t heat_level(const TokenScore& score) {
  if (score.token < 0) return 0;
  const double bits = in_base(-score.logprob, LogBase::two);
  return static_cast<size_t>(std::upper_bound(kHeatBits, kHeatBits + kHeatLevels, bits) - kHeatBits) -
         (bits < 0 ? 0 : 1);
}

std::string heat_legend(const HeatStyle& style) {
  std::string line = "bits of surprisal from";
  for (size_t level = 0; level < kHeatLevels; ++level) {
    const std::string bits = std::to_string(static_cast<int>(kHeatBits[level]));
    if (style.colors) {
      line += ' ' + (kColors[level] + (' ' + bits + ' ')) + (level > 0 ? kReset : "");
    } else {
      line += level == 0 ? ' ' + bits + ": none" : ", " + bits + ": " + std::to_string(level);
    }
  }
  return line + "\n\n";
}

std::string heat_text(const ScoredText& text, const HeatStyle& style) {
  Rows rows(style);
  const std::vector<std::string> tokens = shown_tokens(text.written);
  for (size_t i = 0; i < tokens.size(); ++i) {
    bool begins = true;
    for (std::string_view rest = tokens[i]; !rest.empty();) {
      const CodePoint point = decode_utf8(rest);
      rest.remove_prefix(point.length);
      push_character(point.value, {"", 1, heat_level(text.scores[i]), std::exchange(begins, false), false}, rows);
    }
  }
  const std::vector<TextPart> parts = parts_of(text.written, TextUnit::document);
  const PartScore whole = score_parts(text, parts, LogBase::two).front();
  const double n = std::max<double>(static_cast<double>(whole.n_scored), 1);
  return rows.finish() + "(" + fixed(whole.surprisal, 1) + " bits, " + std::to_string(whole.n_scored) + " tokens, " +
         fixed(whole.surprisal / n, 2) + " bits a token)\n\n";
}

}  // namespace gpt2
