#include "tools/streams.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"
#include "tools/plain_text.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

std::string read_all(int fd, const std::string& name, uint64_t limit) {
  std::string bytes;
  for (;;) {
    char block[1 << 16];
    const ssize_t n = read_stream(fd, block, sizeof block);
    if (n < 0) fail_errno(name, "read", errno);
    if (n == 0) return plain_text(std::move(bytes), name);
    bytes.append(block, static_cast<size_t>(n));
    if (bytes.size() > limit) {
      fail(ExitCode::input,
           printable(name, 400) + ": expected at most " + std::to_string(limit) + " bytes, found more");
    }
  }
}

}  // namespace

void write_output(std::string_view bytes) {
  const int error = write_stream(STDOUT_FILENO, bytes);
  if (error == EPIPE) end_by_signal(SIGPIPE);
  if (error != 0) fail_errno("stdout", "write", error);
}

void close_output() {
  if (close(STDOUT_FILENO) != 0 && errno != EINTR) fail_errno("stdout", "close", errno);
}

std::string read_stdin(uint64_t limit) { return read_all(STDIN_FILENO, "stdin", limit); }

std::string read_input_file(const std::string& path, uint64_t limit) {
  if (path == "-") return read_stdin(limit);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_path(path, "open", errno);
  struct Closer {
    int fd;
    ~Closer() { close(fd); }
  } closer{fd};
  return read_all(fd, path, limit);
}

void occupy_closed_descriptors() {
  // Opened the wrong way round: reading stdin and writing stdout then fail with EBADF. Each takes the lowest free
  // number.
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", kModes[fd]) != fd) {
      fail(ExitCode::internal, "cannot open /dev/null in place of a closed standard stream");
    }
  }
}

void TextStream::push(std::string_view bytes) {
  utf8_.push(bytes, ready_);
  flush();
}

void TextStream::push_faint(std::string_view bytes) {
  const bool faint = target_ == Target::terminal && shows_colors(STDOUT_FILENO);
  if (faint) write_output("\x1b[2m");
  push(bytes);
  if (faint) write_output("\x1b[0m");
}

void TextStream::finish() {
  utf8_.finish(ready_);
  flush();
  if (wrap_) ready_ = wrap_->finish();
  write_ready();
  if (target_ == Target::terminal) end_line();
}

void TextStream::end_line() {
  if (last_ != '\n') write_output("\n");
  last_ = '\n';
}

void TextStream::flush() {
  if (target_ == Target::terminal) ready_ = without_controls(ready_);
  if (wrap_) ready_ = wrap_->push(ready_);
  write_ready();
}

void TextStream::write_ready() {
  if (ready_.empty()) return;
  write_output(ready_);
  last_ = ready_.back();
  ready_.clear();
}

}  // namespace gpt2
