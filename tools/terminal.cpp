#include "tools/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

std::atomic<bool> g_progress_drawn = false;
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

bool is_terminal(int fd) noexcept { return isatty(fd) == 1; }

bool shows_colors(int fd) noexcept {
  const char *term = std::getenv("TERM"), *no_color = std::getenv("NO_COLOR");
  if (term == nullptr || std::string_view(term) == "dumb" || std::string_view(term).empty()) return false;
  return is_terminal(fd) && (no_color == nullptr || *no_color == '\0');
}

uint32_t terminal_width(int fd) noexcept {
  winsize size = {};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool shows_notes(Verbosity verbosity) noexcept {
  if (verbosity == Verbosity::quiet) return false;
  return verbosity == Verbosity::verbose || is_terminal(STDERR_FILENO);
}

void set_progress_drawn(bool drawn) noexcept { g_progress_drawn = drawn; }

void erase_progress() noexcept {
  constexpr std::string_view kErase = "\r\x1b[K";
  if (!g_progress_drawn.exchange(false)) return;
  const ssize_t ignored = write(STDERR_FILENO, kErase.data(), kErase.size());
  static_cast<void>(ignored);
}

void write_stderr(std::string_view text) noexcept { write_stream(STDERR_FILENO, text); }

void say(std::string_view message) {
  erase_progress();
  write_stderr("gpt2: " + std::string(message) + "\n");
}

std::string without_controls(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto value = static_cast<unsigned char>(text[i]);
    const bool c0 = (value < 0x20 && value != '\n' && value != '\t') || value == 0x7F;
    const bool c1 = value == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (!c0 && !c1) {
      out += text[i];
      continue;
    }
    if (c1) value = static_cast<unsigned char>(text[++i]);  // U+0080..U+009F
    char hex[5];
    std::snprintf(hex, sizeof hex, "\\x%02X", value);
    out += hex;
  }
  return out;
}

}  // namespace gpt2
