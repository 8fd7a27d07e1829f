#include "tools/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "src/base/error.h"
#include "tools/plain_text.h"
#include "tools/signals.h"

namespace gpt2 {
namespace {

constexpr size_t kBlock = 1 << 16;
constexpr size_t kHead = 64;      // bytes that tell an encoding
constexpr int kPatience = 100;  // milliseconds until the next look at the signals

int open_input(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_path(path, "open", errno);
  return fd;
}

}  // namespace

LineReader::LineReader(const std::string& path, char delimiter, uint64_t limit)
    : file_(path == "-" ? -1 : open_input(path)),
      fd_(path == "-" ? STDIN_FILENO : file_.get()),
      name_(path == "-" ? "stdin" : path),
      delimiter_(delimiter),
      limit_(limit) {}

LineReader::Got LineReader::next(std::string& line, Wait wait) {
  for (;;) {
    const size_t end = buffer_.find(delimiter_, begin_ + searched_);
    const size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
    if (!begun_ && (end != std::string::npos || at_end_ || length >= kHead)) {
      begin();
      if (encoding_ != nullptr) return Got::foreign;
      continue;
    }
    if (end != std::string::npos || (at_end_ && length + skipped_ > 0)) {
      complete_ = end != std::string::npos;
      const bool fits = skipped_ == 0 && length <= limit_;
      if (fits) line.assign(buffer_, begin_, length);
      offset_ += skipped_ + length + (complete_ ? 1 : 0);
      begin_ += length + (complete_ ? 1 : 0);
      searched_ = 0;
      skipped_ = 0;
      return fits ? Got::line : Got::too_long;
    }
    if (at_end_) return Got::end;
    searched_ = length;
    if (length > limit_ || skipped_ > 0) {
      skipped_ += length;
      begin_ = buffer_.size();
      searched_ = 0;
    }
    if (!readable(wait)) return Got::nothing;
    // Who shares a descriptor that does not block may have been faster, whatever poll said. A line may never end.
    const bool more = fill();
    if (interrupt_flag() || (!more && wait == Wait::no)) return Got::nothing;
  }
}

// Looks at the first bytes of the input.
void LineReader::begin() {
  begun_ = true;
  encoding_ = delimiter_ == '\0' ? foreign_mark(buffer_) : gpt2::foreign_encoding(buffer_);
  begin_ = offset_ = utf8_mark(buffer_);
  searched_ = 0;
  if (encoding_ == nullptr) return;
  buffer_.clear();
  begin_ = offset_ = 0;
  at_end_ = true;
}

bool LineReader::readable(Wait wait) const {
  pollfd input = {fd_, POLLIN, 0};
  for (;;) {
    const int n = poll(&input, 1, wait == Wait::yes ? kPatience : 0);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) fail_errno(name_, "read", errno);
    if (wait == Wait::no || interrupt_flag()) return false;
  }
}

// More bytes, or the end; false if there are none yet or a signal came first.
bool LineReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t before = buffer_.size();
  buffer_.resize(before + kBlock);
  const ssize_t n = read(fd_, buffer_.data() + before, kBlock);
  buffer_.resize(before + static_cast<size_t>(n > 0 ? n : 0));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  if (n < 0) fail_errno(name_, "read", errno);
  at_end_ = n == 0;
  return true;
}

}  // namespace gpt2
