#include "tools/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>

#include "src/base/error.h"
#include "src/text/utf8.h"
#include "tools/signals.h"

namespace gpt2 {
namespace {

constexpr int kHistory = 1000;
constexpr wchar_t kControlC = 3;

}  // namespace

struct LineEditor::State {
  EditLine* edit = nullptr;
  History* history = nullptr;
  const char* prompt = "";
  bool cancelled = false;

  static State& of(EditLine* edit) {
    void* data = nullptr;
    el_get(edit, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }
  static char* show_prompt(EditLine* edit) { return const_cast<char*>(of(edit).prompt); }

  // Ends the line as if it were done.
  static unsigned char cancel(EditLine* edit, int) {
    of(edit).cancelled = true;
    return CC_NEWLINE;
  }

  // A character of UTF-8, whatever the locale is. SIGINT comes as the character that it stands for.
  static int next_character(EditLine*, wchar_t* out) {
    std::string bytes;
    for (;;) {
      char byte = 0;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n < 0 && errno == EINTR) {
        if (!interrupt_flag()) continue;  // the window's size
        if (caught_signal() != SIGINT) return -1;
        forget_interrupt();
        *out = kControlC;
        return 1;
      }
      if (n <= 0) return static_cast<int>(n);
      bytes += byte;
      const auto lead = static_cast<unsigned char>(bytes[0]);
      const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      if (bytes.size() < length) continue;
      *out = static_cast<wchar_t>(decode_utf8(bytes).value);
      return 1;
    }
  }
};

LineEditor::LineEditor() : state_(std::make_unique<State>()) {
  // What libedit writes is converted by the locale; what it reads is not. Names and texts here are UTF-8 everywhere.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
  State& state = *state_;
  state.history = history_init();
  state.edit = el_init("gpt2", stdin, stdout, stderr);
  if (state.edit == nullptr || state.history == nullptr) {
    fail(ExitCode::internal, "cannot open the terminal for editing");
  }
  HistEvent event;
  history(state.history, &event, H_SETSIZE, kHistory);
  history(state.history, &event, H_SETUNIQUE, 1);
  el_set(state.edit, EL_CLIENTDATA, state_.get());
  el_set(state.edit, EL_EDITOR, "emacs");
  el_set(state.edit, EL_HIST, ::history, state.history);
  el_set(state.edit, EL_PROMPT, State::show_prompt);
  el_set(state.edit, EL_GETCFN, State::next_character);
  el_set(state.edit, EL_ADDFN, "cancel-line", "Forget the line", State::cancel);
  el_set(state.edit, EL_BIND, "^C", "cancel-line", nullptr);
  el_set(state.edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(state.edit, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
  el_set(state.edit, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
  el_set(state.edit, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
}

LineEditor::~LineEditor() {
  if (state_->edit != nullptr) el_end(state_->edit);
  if (state_->history != nullptr) history_end(state_->history);
}

LineEditor::Got LineEditor::read(const char* prompt, std::string& line) {
  State& state = *state_;
  state.prompt = prompt;
  state.cancelled = false;
  el_resize(state.edit);
  int n = 0;
  const char* text = el_gets(state.edit, &n);
  if (state.cancelled) return Got::cancelled;
  if (text == nullptr || n <= 0) return Got::end;
  line.assign(text, static_cast<size_t>(n));
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return Got::line;
}

void LineEditor::remember(const std::string& text) {
  HistEvent event;
  history(state_->history, &event, H_ENTER, text.c_str());
}

}  // namespace gpt2
