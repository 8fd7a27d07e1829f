// The `gpt2` command: finds the subcommand, and turns what goes wrong into one line and an exit code.
#include <cxxabi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>
#include <typeinfo>

#include "src/base/error.h"
#include "tools/commands.h"
#include "tools/help.h"
#include "tools/manual.h"
#include "tools/model_path.h"
#include "tools/signals.h"
#include "tools/streams.h"
#include "tools/terminal.h"
#include "tools/version.h"

namespace gpt2 {
namespace {

constexpr int kOk = static_cast<int>(ExitCode::ok);

[[noreturn]] void fail_unknown_command(const std::string& word) {
  const bool is_option = word.starts_with('-');
  std::vector<std::string> names = {"help", "--help", "--version"};
  for (const CommandEntry& entry : all_commands()) names.emplace_back(entry.name);
  const std::string near = nearest_name(word, names);
  std::string message = std::string(is_option ? "expected a command, found the option \"" : "unknown command \"") +
                        printable(word) + "\"";
  message += near.empty() ? " (gpt2 --help lists the commands)" : "; did you mean " + near + "?";
  fail(ExitCode::usage, message);
}

int print_version(const std::vector<std::string>& arguments) {
  std::string text = "gpt2 " + std::string(version()) + "\n";
  for (const std::string& argument : arguments) {
    if (argument != "-v" && argument != "--verbose") fail_unknown_command(argument);
    text += build_details();
  }
  write_output(text);
  return kOk;
}

int print_help(const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) {
    fail(ExitCode::usage, "help: expected one command, found " + std::to_string(arguments.size()));
  }
  if (arguments.empty()) {
    write_output(full_overview());
    return kOk;
  }
  const auto command = make_command(arguments[0]);
  if (command == nullptr) fail_unknown_command(arguments[0]);
  write_output(full_help(*command));
  return kOk;
}

// What the build and the shells ask for; help does not list it.
bool run_hidden(const std::string& word, const std::vector<std::string>& arguments) {
  std::vector<std::string> lines;
  if (word == "__manual" && arguments.size() == 1) {
    write_output(manual_page(arguments[0]));
  } else if (word == "__manual") {
    lines = manual_pages();
  } else if (word == "__models") {
    lines = model_names();
  } else {
    return false;
  }
  for (const std::string& line : lines) write_output(line + "\n");
  return true;
}

int run_command(Command& command, std::vector<std::string> arguments) {
  const ParsedLine line = parse_options(command.text().name, command.options(), std::move(arguments));
  if (line.wish == Wish::run) return command.run(line.operands);
  write_output(line.wish == Wish::short_help ? short_help(command) : full_help(command));
  return kOk;
}

int run(std::vector<std::string> arguments) {
  if (arguments.empty()) {
    write_stderr(short_overview());
    return static_cast<int>(ExitCode::usage);
  }
  const std::string word = arguments.front();
  arguments.erase(arguments.begin());
  if (word == "--version" || word == "-V") return print_version(arguments);
  if (word == "-v" && !arguments.empty() && arguments[0] == "--version") return print_version({word});
  if (word == "help" || word == "--help") return print_help(arguments);
  if (word == "-h") {
    write_output(short_overview());
    return kOk;
  }
  if (run_hidden(word, arguments)) return kOk;
  const auto command = make_command(word);
  if (command == nullptr) fail_unknown_command(word);
  return run_command(*command, std::move(arguments));
}

// Nothing here takes memory.
int out_of_memory() noexcept {
  constexpr std::string_view kMessage = "gpt2: out of memory\n";
  const ssize_t ignored = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  static_cast<void>(ignored);
  return static_cast<int>(ExitCode::internal);
}

// An allocation that fails inside a function that may not throw (simdjson has some) comes here.
[[noreturn]] void on_terminate() noexcept {
  const std::type_info* thrown = abi::__cxa_current_exception_type();
  if (thrown != nullptr && *thrown == typeid(std::bad_alloc)) _exit(out_of_memory());
  // Where not even the exception found memory there is none.
  if (thrown == nullptr && std::malloc(1) == nullptr) _exit(out_of_memory());
  std::abort();
}

// Runs before the initialisers of all libraries, which take memory too.
void catch_terminate() { std::set_terminate(on_terminate); }
[[gnu::section(".preinit_array"), gnu::used]] void (*const kBeforeAll)() = catch_terminate;

// Says what ended the command, and returns the status.
int report_failure() {
  try {
    throw;
  } catch (const Interrupted&) {
    end_by_caught_signal();
  } catch (const Error& error) {
    say(error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& error) {
    say(std::string("internal error: ") + error.what());
  }
  return static_cast<int>(ExitCode::internal);
}

int report_errors(int argc, char** argv) {
  try {
    occupy_closed_descriptors();
    ignore_file_size_signal();
    const int status = run({argv + (argc > 0 ? 1 : 0), argv + argc});
    close_output();
    return status;
  } catch (...) {
    try {
      return report_failure();
    } catch (const std::bad_alloc&) {  // the message itself
      return out_of_memory();
    }
  }
}

}  // namespace
}  // namespace gpt2

int main(int argc, char** argv) { return gpt2::report_errors(argc, argv); }
