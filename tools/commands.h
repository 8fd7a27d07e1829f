// The subcommands of `gpt2`, one file each (cmd_*.cpp), and their list.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/options.h"

namespace gpt2 {

// The words of a command's help.
struct CommandText {
  std::string_view name;
  std::string_view operands;  // "[PROMPT]"
  std::string_view summary;   // one line
  std::string_view details;   // paragraphs of --help
  std::string_view examples;  // lines of at most 76 characters
};

class Command {
 public:
  virtual ~Command() = default;
  virtual CommandText text() const = 0;
  // Returns the options; their values are stored in this object.
  virtual std::vector<OptionGroup> options() = 0;
  // Runs after the options have been parsed; returns the exit code.
  virtual int run(const std::vector<std::string>& operands) = 0;
};

std::unique_ptr<Command> make_generate();
std::unique_ptr<Command> make_chat();
std::unique_ptr<Command> make_serve();
std::unique_ptr<Command> make_convert();
std::unique_ptr<Command> make_tokenize();
std::unique_ptr<Command> make_detokenize();
std::unique_ptr<Command> make_inspect();
std::unique_ptr<Command> make_score();
std::unique_ptr<Command> make_eval();
std::unique_ptr<Command> make_trace();
std::unique_ptr<Command> make_bench();
std::unique_ptr<Command> make_doctor();
std::unique_ptr<Command> make_completions();

struct CommandEntry {
  std::string_view name;
  std::unique_ptr<Command> (*make)();
};

// Returns all commands in the order in which help lists them.
std::span<const CommandEntry> all_commands();
// Returns the command of this name; nullptr if there is none.
std::unique_ptr<Command> make_command(std::string_view name);

}  // namespace gpt2
