#include "tools/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace gpt2 {

ProgressBar::ProgressBar(std::string label, Verbosity verbosity, std::string (*amount)(double))
    : label_(std::move(label)),
      amount_(amount),
      visible_(verbosity != Verbosity::quiet && is_terminal(STDERR_FILENO)),
      next_draw_(start_ + std::chrono::milliseconds(500)) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void ProgressBar::update(uint64_t done, uint64_t total) {
  const auto now = Clock::now();
  if (!visible_ || now < next_draw_ || total == 0) return;
  next_draw_ = now + std::chrono::milliseconds(100);
  drawn_ = true;
  const auto whole = static_cast<double>(total), part = std::min(static_cast<double>(done), whole);
  const double rate = part / seconds();
  const std::string percent = fixed(100 * part / whole, 0);
  const std::string figures = std::string(4 - percent.size(), ' ') + percent + " %  " + amount_(part) + " of " +
                              amount_(whole) + "  " + amount_(rate) + "/s  " +
                              human_time(rate > 0 ? (whole - part) / rate : 0) + " left";
  const size_t taken = label_.size() + figures.size() + 4, width = terminal_width();
  const size_t bar = std::min<size_t>(width > taken ? width - taken : 0, 30);
  const size_t filled = static_cast<size_t>(static_cast<double>(bar) * part / whole);
  std::string line = "\r" + label_;
  if (bar > 4) line += " [" + std::string(filled, '#') + std::string(bar - filled, '.') + "]";
  std::fputs((line + figures + "\x1b[K").c_str(), stderr);
}

}  // namespace gpt2
