// gpt2 completions: the completion script of a shell.
#include "src/base/error.h"
#include "tools/commands.h"
#include "tools/completions.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

class Completions final : public Command {
 public:
  CommandText text() const override {
    return {"completions", "bash|zsh|fish", "Prints the completion script of a shell.",
            "make install puts the scripts where the shells look for them. Without that, the shell's start-up file can "
            "read one as below.",
            "source <(gpt2 completions bash)     # in ~/.bashrc\n"
            "source <(gpt2 completions zsh)      # in ~/.zshrc, after compinit\n"
            "gpt2 completions fish | source      # in ~/.config/fish/config.fish"};
  }

  std::vector<OptionGroup> options() override { return {}; }

  int run(const std::vector<std::string>& operands) override {
    const std::string shell = operands.size() == 1 ? operands[0] : "";
    if (shell == "bash") {
      write_output(bash_completion());
    } else if (shell == "zsh") {
      write_output(zsh_completion());
    } else if (shell == "fish") {
      write_output(fish_completion());
    } else {
      const std::string found =
          operands.size() == 1 ? "\"" + printable(shell) + "\"" : std::to_string(operands.size()) + " operands";
      fail(ExitCode::usage, "completions: expected bash, zsh or fish, found " + found);
    }
    return static_cast<int>(ExitCode::ok);
  }
};

}  // namespace

std::unique_ptr<Command> make_completions() { return std::make_unique<Completions>(); }

}  // namespace gpt2
