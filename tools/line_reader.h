// The lines of an input that may be endless and slow: one at a time, waiting for it or not.
#pragma once

#include <cstdint>
#include <string>

#include "src/io/file_descriptor.h"

namespace gpt2 {

class LineReader {
 public:
  // Opens the file ("-": stdin), its lines ended by `delimiter` or by the end; UTF-8's byte order mark before the first
  // is passed over. Throws Error (exit 1) if it cannot be opened.
  LineReader(const std::string& path, char delimiter, uint64_t limit);

  enum class Wait { no, yes };
  enum class Got {
    line,
    too_long,  // more than `limit` bytes, which are passed over
    nothing,   // none is there yet; with Wait::yes: a signal came first
    foreign,   // all of the input is in foreign_encoding(), and the end comes next
    end,
  };
  // Reads the next line, without its delimiter, into `line`. Throws Error (exit 1) from reading.
  Got next(std::string& line, Wait wait);

  const std::string& name() const noexcept { return name_; }
  const char* foreign_encoding() const noexcept { return encoding_; }  // "UTF-16"; nullptr before Got::foreign
  // Returns the bytes of the file up to the end of the last line.
  uint64_t offset() const noexcept { return offset_; }
  // Returns whether the last line had its delimiter.
  bool complete() const noexcept { return complete_; }

 private:
  void begin();
  bool readable(Wait wait) const;
  bool fill();

  FileDescriptor file_;
  int fd_;
  std::string name_;
  char delimiter_;
  uint64_t limit_, offset_ = 0;
  std::string buffer_;    // read and not yet given out, from begin_ on
  size_t begin_ = 0, searched_ = 0;
  uint64_t skipped_ = 0;  // bytes of a line that is too long
  bool begun_ = false, at_end_ = false, complete_ = true;
  const char* encoding_ = nullptr;
};

}  // namespace gpt2
