#include "tools/run_arguments.h"

#include <unistd.h>

#include <charconv>

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint32_t kMostSlots = 4096;

// "2/3" as the records 1, 4, 7, ..
OptionValue shard_value(Shard& shard, bool& is_shard) {
  return {"I/N", "I/N, whole numbers with 1 <= I <= N", [&](std::string_view text) {
            uint64_t first = 0, step = 0;
            const char *const begin = text.data(), *const end = begin + text.size();
            const auto slash = std::from_chars(begin, end, first);
            if (slash.ec != std::errc() || slash.ptr == end || *slash.ptr != '/') return false;
            const auto rest = std::from_chars(slash.ptr + 1, end, step);
            if (rest.ec != std::errc() || rest.ptr != end || first < 1 || first > step) return false;
            shard = {first - 1, step};
            return is_shard = true;
          }};
}

}  // namespace

std::vector<Option> RunArguments::options(const Help& help) {
  return {
      {"--batch", "", std::string(help.batch), whole_value(batch_, 1, kMostSlots)},
      {"--kv-memory", "",
       "Memory of the cache of keys and values: bytes, or with K, M or G (default: " + std::string(help.kv_memory) +
           ").",
       size_value(kv_memory_)},
      {"--unordered", "", "Write results as they are done instead of in the order of the input.",
       flag_value(unordered_)},
      {"--shard", "", std::string(help.shard), shard_value(shard_, is_shard_)},
      {"-o,--output", "", "Write results to FILE (-: stdout, as without it).", name_value("FILE", output_)},
      {"--resume", "", std::string(help.resume), flag_value(resume_)},
      {"--force", "", "With -o: replace FILE.", flag_value(force_)}};
}

const char* RunArguments::given_for_many() const noexcept {
  return batch_ ? "--batch" : kv_memory_ ? "--kv-memory" : unordered_ ? "--unordered" : is_shard_ ? "--shard" : nullptr;
}

const char* RunArguments::given() const noexcept {
  if (const char* const one = given_for_many()) return one;
  return output_ ? "--output" : resume_ ? "--resume" : force_ ? "--force" : nullptr;
}

void RunArguments::check(const std::string& command, OtherOutput other) const {
  const auto refuse = [&](const std::string& message) { fail(ExitCode::usage, command + ": " + message); };
  if (!writes_file() && (resume_ || (force_ && other == OtherOutput::none)))
    refuse(std::string(resume_ ? "--resume" : "--force") + " needs --output with a file");
  if (resume_ && force_) refuse("give --resume or --force, not both");
}

ReorderWindow::Order RunArguments::order() const noexcept {
  return unordered_ ? ReorderWindow::Order::of_completion : ReorderWindow::Order::of_input;
}

ResultFile RunArguments::open_output(const InputFiles& inputs, FinishedResults& finished) const {
  if (!writes_file()) {
    inputs.refuse_descriptor(STDOUT_FILENO, "stdout");  // results that are read as prompts would have no end
    return {};
  }
  const auto existing = resume_  ? ResultFile::Existing::resume
                        : force_ ? ResultFile::Existing::replace
                                 : ResultFile::Existing::refuse;
  finished.expect_shard(shard_.first, shard_.step);
  return {*output_, existing, inputs, finished};
}

}  // namespace gpt2
