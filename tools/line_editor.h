// Lines from a person at a terminal, with editing and history; or from a pipe, as they come. The one file that knows
// libedit.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace gpt2 {

class LineEditor {
 public:
  enum class Got {
    line,
    cancelled,  // Ctrl-C: the line is forgotten
    end,        // Ctrl-D, the end of the input, or a signal that ends the program
  };

  // Edits on the terminal that stdin and stdout are.
  LineEditor();
  ~LineEditor();

  // Shows the prompt and reads a line, without its newline.
  Got read(const char* prompt, std::string& line);
  // Adds a text to what the arrow keys bring back.
  void remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gpt2
