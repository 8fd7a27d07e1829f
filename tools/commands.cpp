#include "tools/commands.h"

namespace gpt2 {
namespace {

constexpr CommandEntry kCommands[] = {
    {"generate", make_generate},
    {"chat", make_chat},
    {"serve", make_serve},
    {"convert", make_convert},
    {"tokenize", make_tokenize},
    {"detokenize", make_detokenize},
    {"inspect", make_inspect},
    {"score", make_score},
    {"eval", make_eval},
    {"trace", make_trace},
    {"bench", make_bench},
    {"doctor", make_doctor},
    {"completions", make_completions},
};

}  // namespace

std::span<const CommandEntry> all_commands() { return kCommands; }

std::unique_ptr<Command> make_command(std::string_view name) {
  for (const CommandEntry& entry : kCommands) {
    if (entry.name == name) return entry.make();
  }
  return nullptr;
}

}  // namespace gpt2
