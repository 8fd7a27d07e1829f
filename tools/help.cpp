#include "tools/help.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "tools/terminal.h"
#include "tools/version.h"

namespace gpt2 {
namespace {

// 80 columns, or a narrower terminal's; there the texts stand under the names.
size_t width() {
  const bool seen = is_terminal(STDOUT_FILENO) || is_terminal(STDERR_FILENO);
  return seen ? std::clamp<size_t>(terminal_width(STDERR_FILENO), 40, 80) : 80;
}
size_t text_column() { return width() < 70 ? 8 : 30; }

constexpr NamedText kEnvironment[] = {
    {"GPT2_MODEL", "The model of commands without -m: what -m takes."},
    {"GPT2_MODELS", "Folders where -m NAME looks first, with colons between them."},
    {"GPT2_ISA", "Forces a set of kernels by name (gpt2 --version -v lists them)."},
    {"OMP_NUM_THREADS",
     "Threads of commands without -t. OpenMP's other variables hold too: places, limits, stack size."},
    {"NO_COLOR", "If set, nothing is coloured."},
};

constexpr NamedText kExitStatus[] = {
    {"0", "success"},
    {"1", "input or output failed, or an internal error"},
    {"2", "wrong usage"},
    {"3", "a model file is missing, damaged or not supported"},
    {"4", "the input cannot be used: prompt too long, no such token, ..."},
    {"5", "the CPU lacks what GPT2_ISA asks for"},
    {"6", "some records failed"},
    {"130, 141, 143", "ended by SIGINT, SIGPIPE, SIGTERM"},
};

constexpr NamedText kProgramOptions[] = {
    {"    --version", "Prints the version; with -v also commit, compiler and kernels."},
    {"-h", "Short help."},
    {"    --help", "This text."},
};

// Appends `text` word by word, the lines after the first indented; the cursor stands at `column`.
void append_wrapped(std::string& out, std::string_view text, size_t column, size_t indent) {
  const size_t columns = width();
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (column > indent && column + end + 1 > columns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

// "-n, --max-new-tokens N"; long names without a short one are indented under the long ones.
std::string option_heading(const Option& option) {
  std::string heading;
  for (const std::string& name : split_names(option.names)) heading += (heading.empty() ? "" : ", ") + name;
  if (heading.starts_with("--")) heading.insert(0, "    ");
  if (option.value.metavar.empty()) return heading;
  if (option.value.presence == OptionValue::Presence::optional) return heading + "[=" + option.value.metavar + "]";
  return heading + " " + option.value.metavar;
}

void append_row(std::string& out, const std::string& heading, std::string_view text) {
  const size_t begin = out.size(), texts_at = text_column();
  out += "  " + heading;
  if (out.size() - begin + 2 > texts_at) {
    out += "\n" + std::string(texts_at, ' ');
  } else {
    out.resize(begin + texts_at, ' ');
  }
  append_wrapped(out, text, texts_at, texts_at);
}

void append_rows(std::string& out, std::span<const NamedText> rows) {
  for (const NamedText& row : rows) append_row(out, std::string(row.name), row.text);
}

// Operands that do not fit beside the name stand under it.
std::string usage_line(const CommandText& text) {
  const std::string begin = "Usage: gpt2 " + std::string(text.name) + " [OPTION]...";
  const bool fits = begin.size() + 1 + text.operands.size() <= width();
  return begin + (fits ? " " : "\n       ") + std::string(text.operands) + "\n";
}

void append_examples(std::string& out, std::string_view examples) {
  out += "\nExamples:\n";
  while (!examples.empty()) {
    const size_t end = std::min(examples.find('\n'), examples.size());
    out += "  " + std::string(examples.substr(0, end)) + "\n";
    examples.remove_prefix(std::min(end + 1, examples.size()));
  }
}

void append_commands(std::string& out) {
  out += "\nCommands:\n";
  for (const CommandEntry& entry : all_commands()) {
    append_row(out, std::string(entry.name), entry.make()->text().summary);
  }
  append_row(out, "help [COMMAND]", "Prints the full help of a command.");
}

}  // namespace

std::span<const NamedText> environment_table() { return kEnvironment; }
std::span<const NamedText> exit_status_table() { return kExitStatus; }
std::span<const NamedText> program_options() { return kProgramOptions; }

std::string_view program_examples() {
  return "gpt2 generate \"Once upon a time\"        continue it with the built-in model\n"
         "gpt2 convert DIR model.gpt2             make one file of a Hugging Face GPT-2\n"
         "gpt2 generate -m model.gpt2 < prompt    continue a file's text with it";
}

std::string short_help(Command& command) {
  const CommandText text = command.text();
  std::string out = usage_line(text);
  append_wrapped(out, text.summary, 0, 0);
  append_examples(out, text.examples);
  out += "\nMost used options:\n";
  for (const OptionGroup& group : command.options()) {
    for (const Option& option : group.options) {
      const bool has_short = option.names.size() > 1 && option.names[1] != '-';
      if (has_short) append_row(out, option_heading(option), option.help);
    }
  }
  return out + "\nAll options: gpt2 " + std::string(text.name) + " --help\n";
}

std::string full_help(Command& command) {
  const CommandText text = command.text();
  std::string out = usage_line(text);
  append_wrapped(out, text.summary, 0, 0);
  for (std::string_view rest = text.details; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    out += '\n';
    append_wrapped(out, rest.substr(0, end), 0, 0);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  append_examples(out, text.examples);
  for (const OptionGroup& group : command.options()) {
    out += "\n" + group.title + ":\n";
    for (const Option& option : group.options) append_row(out, option_heading(option), option.help);
  }
  out += "\nHelp:\n";
  append_row(out, "-h", "Short help with examples.");
  append_row(out, "    --help", "This text.");
  return out;
}

void append_wrapped_row(std::string& out, const std::string& name, size_t column, std::string_view text) {
  const bool narrow = width() < column + 40;
  const size_t indent = narrow ? 4 : column;
  out += narrow ? name + "\n" + std::string(indent, ' ') : name + std::string(column - name.size(), ' ');
  append_wrapped(out, text, indent, indent);
}

void fail_no_input(Command& command, std::string_view message) {
  const CommandText text = command.text();
  const std::string name(text.name);
  fail(ExitCode::usage, name + ": " + std::string(message) + "; usage: gpt2 " + name + " [OPTION]... " +
                            std::string(text.operands) + " (gpt2 " + name + " -h: examples and options)");
}

std::string short_overview() {
  std::string out = "Usage: gpt2 COMMAND [OPTION]... [ARGUMENT]...\nRuns GPT-2 on the CPU.\n";
  append_examples(out, program_examples());
  append_commands(out);
  return out + "\nMore: gpt2 --help, gpt2 COMMAND -h\n";
}

std::string full_overview() {
  std::string out = short_overview();
  out.resize(out.rfind("\nMore:"));
  out += "\nOptions of gpt2 itself:\n";
  append_rows(out, kProgramOptions);
  out += "\nEnvironment:\n";
  append_rows(out, kEnvironment);
  out += "\nExit status:\n";
  append_rows(out, kExitStatus);
  return out + "\nEach command has its own help: gpt2 COMMAND --help\n";
}

}  // namespace gpt2
