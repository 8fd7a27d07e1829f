#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace gpt2 {

ProgressLine::ProgressLine(Verbosity verbosity)
    : visible_(verbosity != Verbosity::quiet && is_terminal(STDERR_FILENO)),
      next_draw_(start_ + std::chrono::milliseconds(500)) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::clear() { erase_progress(); }

double ProgressLine::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

bool ProgressLine::due() {
  const auto now = Clock::now();
  if (!visible_ || now < next_draw_) return false;
  next_draw_ = now + std::chrono::milliseconds(100);
  return true;
}

void ProgressLine::show(const std::string& text) {
  set_progress_drawn(true);
  // The last column stays free: a cursor behind it would wrap.
  write_stderr("\r" + text.substr(0, terminal_width(STDERR_FILENO) - 1) + "\x1b[K");
}

ProgressBar::ProgressBar(std::string label, Verbosity verbosity, std::string (*amount)(double))
    : label_(std::move(label)), amount_(amount), line_(verbosity) {}

void ProgressBar::update(uint64_t done, uint64_t total) {
  if (total == 0 || !line_.due()) return;
  const auto whole = static_cast<double>(total), part = std::min(static_cast<double>(done), whole);
  const double rate = part / seconds();
  const std::string percent = fixed(100 * part / whole, 0);
  const std::string figures = std::string(4 - percent.size(), ' ') + percent + " %  " + amount_(part) + " of " +
                              amount_(whole) + "  " + amount_(rate) + "/s  " +
                              human_time(rate > 0 ? (whole - part) / rate : 0) + " left";
  const size_t taken = label_.size() + figures.size() + 4, width = terminal_width(STDERR_FILENO);
  const size_t bar = std::min<size_t>(width > taken ? width - taken : 0, 30);
  const size_t filled = static_cast<size_t>(static_cast<double>(bar) * part / whole);
  std::string text = label_;
  if (bar > 4) text += " [" + std::string(filled, '#') + std::string(bar - filled, '.') + "]";
  line_.show(text + figures);
}

}  // namespace gpt2
