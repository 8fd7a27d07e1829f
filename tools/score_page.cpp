#include "tools/score_page.h"

#include <algorithm>
#include <cmath>

#include "src/base/portable_math.h"
#include "src/io/json.h"
#include "src/text/display.h"
#include "src/text/utf8.h"
#include "tools/format.h"
#include "tools/heat.h"
#include "tools/score_page_parts.h"

namespace gpt2 {
namespace {

constexpr uint32_t kBandEnds[] = {10, 100, 1000};
constexpr const char* kBandNames[] = {"the 10 most likely", "up to the 100th", "up to the 1000th", "beyond"};

size_t band_of(uint32_t rank) {
  return static_cast<size_t>(std::lower_bound(std::begin(kBandEnds), std::end(kBandEnds), rank) - kBandEnds);
}

double bits_of(const TokenScore& score) { return in_base(-score.logprob, LogBase::two); }

// JSON that cannot end the script that it stands in.
std::string script_json(std::string_view json) {
  std::string out;
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    text.remove_prefix(point.length);
    switch (point.value) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '\n':
      case '\t': out += static_cast<char>(point.value); break;
      default:
        if (point.value < 0x20) {
          append_utf8(0x2400 + point.value, out);
        } else if (point.value >= 0x7F && point.value < 0xA0) {
          append_utf8(0xFFFD, out);
        } else {
          append_utf8(point.value, out);
        }
    }
  }
  return out;
}

void ScorePage::add(const ScoredRecord& scored) {
  ++n_texts_;
  if (scored.record.failure) {
    return keep(scored.record.index, {"<section><h2>" + html_text(scored.record.name) + "</h2><p>" +
                                          html_text(scored.record.failure->message) + "</p></section>\n",
                                      0});
  }
  count(scored.text);
  keep(scored.record.index, {section(scored), scored.text.scores.size()});
}

// Texts come in any order; which of them are kept depends on their index alone.
void ScorePage::keep(uint64_t index, Section section) {
  n_shown_ += section.n_tokens;
  sections_[index] = std::move(section);
  for (auto last = std::prev(sections_.end()); n_shown_ - last->second.n_tokens >= kMaxPageTokens;
       last = std::prev(sections_.end())) {
    n_shown_ -= last->second.n_tokens;
    sections_.erase(last);
  }
}

void ScorePage::count(const ScoredText& text) {
  for (const TokenScore& score : text.scores) {
    if (score.token < 0) continue;
    ++n_tokens_;
    ++bins_[std::min(kBins, static_cast<size_t>(std::max(0.0, bits_of(score))))];
    ++bands_[band_of(score.rank)];
  }
}

// [bits, rank, entropy, [[text, p], ..]] of a token; null where it is not scored.
std::string ScorePage::alternatives(const ScoredRecord& scored, size_t i) const {
  const TokenScore& score = scored.text.scores[i];
  if (score.token < 0) return "null";
  std::string row = "[" + json_number(rounded(bits_of(score))) + "," + std::to_string(score.rank) + "," +
                    json_number(rounded(in_base(score.entropy, LogBase::two))) + ",[";
  for (size_t k = 0; k < kPageAlternatives; ++k) {
    const TokenLogprob& one = scored.top[i * kPageAlternatives + k];
    if (one.token < 0) break;  // the vocabulary has fewer
    row += (k > 0 ? ",[" : "[") + json_quote(tokenizer_.token_bytes(one.token)) + "," +
           json_number(std::round(portable_exp(one.logprob) * 1e4) / 1e4) + "]";
  }
  return row + "]]";
}

std::string ScorePage::section(const ScoredRecord& scored) const {
  const ScoredText& text = scored.text;
  const std::vector<std::string> tokens = shown_tokens(text.written);
  const size_t n_shown = std::min<size_t>(tokens.size(), kMaxPageTokens);
  const PartScore whole = score_parts(text, parts_of(text.written, TextUnit::document), LogBase::two).front();
  std::string out = "<section><h2>" + html_text(scored.record.name) + "</h2><p>" + fixed(whole.surprisal, 2) +
                    " bits, " + std::to_string(whole.n_scored) + " tokens";
  if (whole.n_scored > 0)
    out += ", " + fixed(whole.surprisal / static_cast<double>(whole.n_scored), 3) + " bits a token";
  if (n_shown < tokens.size()) out += "; the first " + std::to_string(n_shown) + " tokens are shown";
  out += "</p><p class=\"text\">";
  std::string rows;
  for (size_t i = 0; i < n_shown; ++i) {
    const TokenScore& score = text.scores[i];
    out += "<span tabindex=\"" + std::string(i == 0 ? "0" : "-1") + "\" data-i=\"" + std::to_string(i) +
           "\" class=\"h" + std::to_string(heat_level(score)) +
           (score.token < 0 ? "" : " r" + std::to_string(band_of(score.rank)));
    if (tokens[i].empty()) out += " part";
    if (tokens[i].starts_with('\n')) out += " nl";
    out += "\">" + html_text(tokens[i]) + "</span>";
    rows += (i > 0 ? "," : "") + alternatives(scored, i);
  }
  return out + "</p><script type=\"application/json\">[" + script_json(rows) + "]</script></section>\n";
}

std::string ScorePage::histogram() const {
  constexpr size_t kWidth = 16, kHeight = 110;
  const uint64_t most = std::max<uint64_t>(1, *std::max_element(bins_.begin(), bins_.end()));
  std::string out = "<figure><svg viewBox=\"0 0 " + std::to_string(kWidth * (kBins + 1) + 20) +
                    " 140\" width=\"356\" height=\"140\" role=\"img\" aria-label=\"Histogram of surprisal\">";
  for (size_t i = 0; i <= kBins; ++i) {
    const double height = static_cast<double>(kHeight) * static_cast<double>(bins_[i]) / static_cast<double>(most);
    const std::string from = std::to_string(i), x = std::to_string(10 + kWidth * i);
    out += "<rect x=\"" + x + "\" y=\"" + fixed(kHeight + 10 - height, 1) + "\" width=\"" + std::to_string(kWidth - 2) +
           "\" height=\"" + fixed(height, 1) + "\"><title>" + from +
           (i < kBins ? " to " + std::to_string(i + 1) : " and more") + " bits: " + std::to_string(bins_[i]) +
           " tokens</title></rect>";
    if (i % 5 == 0) out += "<text x=\"" + x + "\" y=\"134\">" + from + "</text>";
  }
  return out + "<line x1=\"8\" x2=\"" + std::to_string(kWidth * (kBins + 1) + 10) +
         "\" y1=\"120.5\" y2=\"120.5\"/></svg><figcaption>Tokens by bits of surprisal</figcaption></figure>";
}

std::string ScorePage::bands() const {
  std::string out = "<figure><table><tr><th>Rank among the model's choices</th><th>tokens</th><th>share</th></tr>";
  for (size_t i = 0; i < kBands; ++i) {
    const double share = n_tokens_ > 0 ? 100 * static_cast<double>(bands_[i]) / static_cast<double>(n_tokens_) : 0;
    out += std::string("<tr><td>") + kBandNames[i] + "</td><td>" + std::to_string(bands_[i]) + "</td><td>" +
           fixed(share, 1) + " %</td></tr>";
  }
  return out + "</table></figure>";
}

std::string ScorePage::html() const {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>Surprisal</title><style>";
  out += kPageStyle;
  out += "</style></head>\n<body class=\"heat\"><h1>How surprising each token is to " + html_text(model_) + "</h1><p>" +
         std::to_string(n_tokens_) + " scored tokens, " + std::to_string(n_texts_) +
         (n_texts_ == 1 ? " text" : " texts");
  if (sections_.size() < n_texts_) out += "; " + std::to_string(sections_.size()) + " texts are shown";
  out += "</p><div class=\"views\"><label><input type=\"radio\" name=\"view\" value=\"heat\" checked> surprisal</label>"
         "<label><input type=\"radio\" name=\"view\" value=\"ranks\"> rank</label></div>"
         "<p class=\"key heat\">bits from";
  for (size_t i = 0; i < kHeatLevels; ++i) {
    out += " <span class=\"h" + std::to_string(i) + "\">" + std::to_string(static_cast<int>(kHeatBits[i])) + "</span>";
  }
  out += "</p><p class=\"key ranks\">";
  for (size_t i = 0; i < kBands; ++i)
    out += " <span class=\"r" + std::to_string(i) + "\">" + kBandNames[i] + "</span>";
  out += "</p><div class=\"figures\">" + histogram() + bands() + "</div><main>\n";
  for (const auto& [index, section] : sections_) out += section.html;
  out += "</main><aside id=\"look\" aria-live=\"polite\">Point at a token, or choose one with the tab and arrow keys, "
         "to see what could have stood there.</aside><script>";
  out += kPageScript;
  return out + "</script></body></html>\n";
}

}  // namespace gpt2
