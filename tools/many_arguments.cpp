#include "tools/many_arguments.h"

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

std::vector<Option> ManyArguments::format_options() {
  return {{"--lines", "",
           "A prompt a line; each result is a line, its newlines and other control characters as \\n, \\r, \\t, \\xNN "
           "and its backslashes as \\\\.",
           flag_value(lines_)},
          {"-0,--null", "", "Prompts end with NUL bytes, and so do results, as they are.", flag_value(null_)},
          {"--jsonl", "", "A JSON object a line: prompt or tokens, id, and options by their long names, with _ for -.",
           flag_value(jsonl_)},
          {"--chat", "",
           "As --jsonl, with messages instead of prompt: [{\"role\": \"user\", \"content\": \"..\"}, ..], in the "
           "model's chat template.",
           flag_value(chat_)},
          chat_template_option(form_)};
}

std::vector<Option> ManyArguments::run_options() {
  return {
      {"--batch", "", "Prompts that are computed together (default: up to 32, as the cache's memory allows).",
       whole_value(batch_, 1, kMostSlots)},
      {"--kv-memory", "",
       "Memory of the cache of keys and values: bytes, or with K, M or G (default: up to half of what is free).",
       size_value(kv_memory_)},
      {"--unordered", "", "Write results as they are done instead of in the order of the input.",
       flag_value(unordered_)},
      {"--shard", "", "Do every N-th record only, from the I-th on; they keep their index and seed.",
       shard_value(shard_, is_shard_)},
      {"-o,--output", "", "Write results to FILE (-: stdout, as without it).", name_value("FILE", output_)},
      {"--resume", "",
       "With -o: keep the results that FILE has and add those that are missing, given the same input and options. "
       "Refused if made_from in FILE says that its results are of other prompts, options, seed or model, or is missing "
       "(older versions wrote none).",
       flag_value(resume_)},
      {"--force", "", "With -o: replace FILE.", flag_value(force_)}};
}

void ManyArguments::check(bool json) const {
  const auto refuse = [](const std::string& message) { fail(ExitCode::usage, "generate: " + message); };
  if (lines_ + null_ + (jsonl_ || chat_) > 1) refuse("give one of --lines, --null and --jsonl or --chat");
  if (form_ && !chat_) refuse("--chat-template needs --chat");
  const char* alone = batch_       ? "--batch"
                      : kv_memory_ ? "--kv-memory"
                      : unordered_ ? "--unordered"
                      : is_shard_  ? "--shard"
                      : output_    ? "--output"
                      : resume_    ? "--resume"
                      : force_     ? "--force"
                                   : nullptr;
  if (!wanted() && alone != nullptr) refuse(std::string(alone) + " needs --lines, --null, --jsonl or --chat");
  if (!writes_file() && (resume_ || force_))
    refuse(std::string(resume_ ? "--resume" : "--force") + " needs --output with a file");
  if (resume_ && force_) refuse("give --resume or --force, not both");
  if (resume_ && !jsonl_ && !chat_ && !json) refuse("--resume needs results as JSON: --jsonl or --json");
}

ReorderWindow::Order ManyArguments::order() const noexcept {
  return unordered_ ? ReorderWindow::Order::of_completion : ReorderWindow::Order::of_input;
}

ResultFile ManyArguments::open_output(const InputFiles& inputs, FinishedResults& finished) const {
  if (!writes_file()) {
    inputs.refuse_descriptor(STDOUT_FILENO, "stdout");  // results that are read as prompts would have no end
    return {};
  }
  const auto existing = resume_  ? ResultFile::Existing::resume
                        : force_ ? ResultFile::Existing::replace
                                 : ResultFile::Existing::refuse;
  return {*output_, existing, inputs, finished};
}

}  // namespace gpt2
