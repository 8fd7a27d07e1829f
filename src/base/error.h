// Errors and exit codes. Bad input throws Error at the edge and is caught once in main; a bug of ours aborts through
// GPT2_CHECK. Nothing here knows what is being read.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gpt2 {

// The program's exit codes; 130, 141 and 143 come from signals.
enum class ExitCode : int { ok = 0, internal = 1, usage = 2, model = 3, input = 4, cpu = 5, records = 6 };

// A failure that the user can act on: one line and the exit code that goes with it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

[[noreturn]] void fail(ExitCode code, const std::string& message);

// Throws Error "FILE: ITEM: expected EXPECTED, found FOUND" with control characters escaped; exit code 3.
[[noreturn]] void fail_model(std::string_view file, std::string_view item, std::string_view expected,
                             std::string_view found);

// Throws Error "FILE: cannot ACTION: reason" from errno; exit code 1.
[[noreturn]] void fail_errno(std::string_view file, std::string_view action, int error_number);

// Returns `text` made safe for a one-line message: control and non-UTF-8 bytes as \xNN, cut after `limit` bytes.
std::string printable(std::string_view text, size_t limit = 80);

// Returns the length of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7), 0 if there is
// none.
size_t utf8_sequence_length(std::string_view text);

namespace detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;
}

}  // namespace gpt2

// A broken invariant is our bug: abort with file and line, in every build.
#define GPT2_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::gpt2::detail::check_failed(#condition, __FILE__, __LINE__))
