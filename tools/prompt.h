// Where a command's text comes from: its operands, a file, or stdin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpt2 {

// What happens to the one newline, LF or CRLF, that ends most files.
enum class FinalNewline { keep, drop };

struct TextSource {
  std::optional<std::string> file;  // -f
  FinalNewline final_newline = FinalNewline::keep;
  uint64_t limit = uint64_t{1} << 30;  // bytes of stdin or of the file
};

// Returns the text: an operand as it is ("-" stands for stdin, and may stand between others, which are joined to it),
// else the file, else stdin. Returns nullopt if there is none of them and stdin is a terminal. stdin is read only when
// it is the source. Throws Error: exit 2 that starts with `command` for sources that exclude each other; exit 1 or 4
// from reading.
std::optional<std::string> read_text(const std::string& command, const std::vector<std::string>& operands,
                                     const TextSource& source);

}  // namespace gpt2
