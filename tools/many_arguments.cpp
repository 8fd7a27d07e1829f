#include "tools/many_arguments.h"

#include "src/base/error.h"

namespace gpt2 {

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
  return run_.options(
      {"Prompts that are computed together (default: up to 32, as the cache's memory allows).",
       "up to half of what is free",
       "Do every N-th record only, from the I-th on; they keep their index and seed.",
       "With -o: keep the results that FILE has and add those that are missing, given the same input and options. "
       "Refused if made_from in FILE says that its results are of other prompts, options, seed or model, or is missing "
       "(older versions wrote none)."});
}

void ManyArguments::check(bool json) const {
  const auto refuse = [](const std::string& message) { fail(ExitCode::usage, "generate: " + message); };
  if (lines_ + null_ + (jsonl_ || chat_) > 1) refuse("give one of --lines, --null and --jsonl or --chat");
  if (form_ && !chat_) refuse("--chat-template needs --chat");
  if (const char* const alone = run_.given(); !wanted() && alone != nullptr)
    refuse(std::string(alone) + " needs --lines, --null, --jsonl or --chat");
  run_.check("generate");
  if (run_.resumes() && !jsonl_ && !chat_ && !json) refuse("--resume needs results as JSON: --jsonl or --json");
}

}  // namespace gpt2
