#include "tools/prompt.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "tools/streams.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

std::string trimmed(std::string text, FinalNewline final_newline) {
  if (final_newline == FinalNewline::keep || !text.ends_with('\n')) return text;
  text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

std::optional<std::string> read_text(const std::string& command, const std::vector<std::string>& operands,
                                     const TextSource& source) {
  const auto dashes = std::count(operands.begin(), operands.end(), "-");
  if (operands.size() > 1 && dashes == 0) {
    fail(ExitCode::usage, command + ": expected one text, found " + std::to_string(operands.size()) +
                              " words; put quotes around a text with spaces");
  }
  if (dashes > 1) fail(ExitCode::usage, command + ": - (stdin) can be given once");
  if (source.file && !operands.empty()) fail(ExitCode::usage, command + ": give a text or --file, not both");
  if (source.file) return trimmed(read_input_file(*source.file, source.limit), source.final_newline);
  if (operands.empty()) {
    if (is_terminal(STDIN_FILENO)) return std::nullopt;
    return trimmed(read_stdin(source.limit), source.final_newline);
  }
  std::string text;
  for (const std::string& operand : operands) {
    text += operand == "-" ? trimmed(read_stdin(source.limit), source.final_newline) : operand;
  }
  return text;
}

}  // namespace gpt2
