// stdin and stdout as bytes: whole inputs, and output that arrives or is an error. No buffers that could lose text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/text/utf8.h"
#include "tools/word_wrap.h"

namespace gpt2 {

// Writes to stdout at once. Throws Error (exit 1) if that fails; a broken pipe ends the program by SIGPIPE.
void write_output(std::string_view bytes);
// Closes stdout: what a file system reports late is noticed here. Throws Error (exit 1).
void close_output();

// Returns the text of all of stdin, or of a file ("-": stdin), without UTF-8's byte order mark. Throws Error: exit 1 if
// it cannot be read, exit 4 past `limit` bytes and for UTF-16.
std::string read_stdin(uint64_t limit);
std::string read_input_file(const std::string& path, uint64_t limit);

// A standard descriptor that the caller closed would be taken by the next file opened; this puts something unusable
// there, so that its use fails.
void occupy_closed_descriptors();

// Generated text on its way to stdout, whole characters at a time: as it is into a pipe, made safe for a terminal.
class TextStream {
 public:
  enum class Target { pipe, terminal };
  // `wrap`: breaks lines between words at so many columns of a terminal; 0: leaves them to it.
  explicit TextStream(Target target, uint32_t wrap = 0)
      : target_(target), utf8_(target == Target::terminal ? InvalidUtf8::replace : InvalidUtf8::keep) {
    if (target == Target::terminal && wrap > 0) wrap_.emplace(wrap);
  }
  void push(std::string_view bytes);
  // The same as a faint word on a terminal that shows colours.
  void push_faint(std::string_view bytes);
  // Writes what was held back; leaves a terminal's cursor in column 0.
  void finish();
  // Ends the line if one is open, into a pipe too.
  void end_line();

 private:
  void flush();
  void write_ready();
  Target target_;
  Utf8Stream utf8_;
  std::optional<WordWrap> wrap_;
  std::string ready_;
  char last_ = '\n';  // the last byte that was written; a line is open unless it is a newline
};

}  // namespace gpt2
