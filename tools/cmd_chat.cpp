// gpt2 chat: a conversation in the terminal, or with lines from a pipe.
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>

#include "src/base/error.h"
#include "src/io/json_object.h"
#include "src/io/output_file.h"
#include "tools/chat_arguments.h"
#include "tools/commands.h"
#include "tools/conversation.h"
#include "tools/engine_arguments.h"
#include "tools/format.h"
#include "tools/help.h"
#include "tools/line_editor.h"
#include "tools/line_reader.h"
#include "tools/load_model.h"
#include "tools/request_arguments.h"
#include "tools/signals.h"
#include "tools/streams.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxLineBytes = uint64_t{1} << 20;
constexpr std::string_view kBlock = "\"\"\"";

constexpr std::string_view kNoSystem = "the model was not taught to chat and has no such message";
constexpr NamedText kCommands[] = {
    {"  /system TEXT", "begin anew with a system message (without TEXT: with none)"},
    {"  /reset", "begin anew"},
    {"  /save FILE", "write the messages as a line of JSON, which generate --chat reads"},
    {"  /seed N", "the seed of the next answers (without N: show it)"},
    {"  /stats", "what the last answer took"},
    {"  /quit", "end, as Ctrl-D does"},
};
constexpr std::string_view kKeys =
    "Ctrl-C stops an answer. A message goes on in the next line behind a \\ at its end, and between two lines of "
    "\"\"\".";

std::string help_text() {
  std::string out;
  for (const NamedText& command : kCommands) append_wrapped_row(out, std::string(command.name), 16, command.text);
  append_wrapped_row(out, "", 0, kKeys);
  return out;
}

class Chat final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  enum class Next { goes_on, ends };

  void say_what_it_is(const Model& model, const Conversation& conversation) const;
  LineEditor::Got read_line(const char* prompt, std::string& line);
  LineEditor::Got read_message(std::string& message);
  Next take(const std::string& message);
  Next command(std::string_view name, const std::string& value);
  void answer(const std::string& message);
  void save(const std::string& path) const;
  void set_seed(const std::string& text);
  void show_stats() const;

  ModelChoice model_;
  EngineArguments engine_;
  RequestArguments request_;
  std::optional<ChatForm> form_;
  std::optional<std::string> system_;
  // While it runs.
  bool is_interactive_ = false;
  std::unique_ptr<LineEditor> editor_;
  std::unique_ptr<LineReader> lines_;
  Conversation* conversation_ = nullptr;
  InputFiles inputs_;
  uint64_t seed_ = 0;
  TurnStats stats_;
  int status_ = static_cast<int>(ExitCode::ok);
};

CommandText Chat::text() const {
  return {"chat", "", "Talks with a model.",
          "With a model that was taught to chat (its checkpoint has a chat template of the form chatml, llama2, "
          "llama3, zephyr or gemma) each line is a message and gets an answer; what a message "
          "spells is text, never a special "
          "token. With any other model, as GPT-2, the same command continues what one writes: each line is added to "
          "the text so far, and the model goes on with it.\n"
          "What was computed stays from turn to turn. Where the context is full the oldest turns are forgotten, which "
          "is said.\n"
          "At a terminal lines can be edited, and the arrow keys bring earlier ones back. Without one each line of "
          "stdin is a message, and its answer is a line or more on stdout. Lines that begin with / are commands (/help "
          "lists them); a space before the / makes it a message.",
          "gpt2 chat -m smollm2.gpt2\n"
          "gpt2 chat -m smollm2.gpt2 --system \"Answer in one sentence.\" -T 0.6\n"
          "gpt2 chat --greedy -n 40\n"
          "printf 'Hello\\nAnd you?\\n' | gpt2 chat -m smollm2.gpt2 -s 1"};
}

std::vector<OptionGroup> Chat::options() {
  std::vector<Option> model = model_options(model_);
  for (Option& option : engine_.options()) model.push_back(std::move(option));
  std::vector<Option> length = request_.length_options();
  std::erase_if(length, [](const Option& option) { return option.names == "--include-stop"; });
  length[0].help = "Answer with at most N tokens (default 256).";
  std::vector<Option> samples = request_.sample_options();
  std::erase_if(samples, [](const Option& option) { return option.names == "-N,--samples"; });
  return {{"Conversation",
           {{"--system", "", "The system message.", name_value("TEXT", system_)}, chat_template_option(form_)}},
          {"Length", std::move(length)},
          {"Choice of a token, in this order", request_.sampling.options()},
          {"Seed", std::move(samples)},
          {"Model and machine", std::move(model)}};
}

void Chat::say_what_it_is(const Model& model, const Conversation& conversation) const {
  if (model_.verbosity == Verbosity::quiet) return;
  if (!conversation.is_chat()) {
    say("note: " + printable(model.name(), 400) +
        " was not taught to chat: it continues what you write, and you what it writes");
  }
  if (is_interactive_) write_stderr("/help lists the commands, Ctrl-D ends.\n");
}

LineEditor::Got Chat::read_line(const char* prompt, std::string& line) {
  if (editor_) return editor_->read(prompt, line);
  for (;;) {
    switch (lines_->next(line, LineReader::Wait::yes)) {
      case LineReader::Got::line:
        if (line.ends_with('\r')) line.pop_back();
        return LineEditor::Got::line;
      case LineReader::Got::nothing:
        if (interrupt_flag()) return LineEditor::Got::end;
        break;
      case LineReader::Got::too_long:
        fail(ExitCode::input, lines_->name() + ": expected lines of at most " + std::to_string(kMaxLineBytes) +
                                  " bytes, found more");
      case LineReader::Got::foreign:
        fail(ExitCode::input, lines_->name() + ": expected UTF-8, found " + lines_->foreign_encoding());
      case LineReader::Got::end: return LineEditor::Got::end;
    }
  }
}

// One message: a line, lines that go on behind a backslash, or those between two lines of """.
LineEditor::Got Chat::read_message(std::string& message) {
  message.clear();
  bool block = false;
  for (const char* prompt = ">>> ";; prompt = "... ") {
    std::string line;
    const LineEditor::Got got = read_line(prompt, line);
    // What stands before the end of the input is a message, also if it was to go on.
    const bool has_text = message.find_first_not_of(" \t\n") != std::string::npos;
    if (got == LineEditor::Got::end && has_text && !interrupt_flag()) {
      if (is_interactive_) write_output("\n");
      break;
    }
    if (got != LineEditor::Got::line) return got;
    if (message.size() + line.size() > kMaxLineBytes) fail(ExitCode::input, "the message is longer than a megabyte");
    if (!block && message.empty() && line.starts_with(kBlock)) {
      block = true;
      line.erase(0, kBlock.size());
      if (line.empty()) continue;
    }
    const bool ends_block = block && line.ends_with(kBlock);
    if (ends_block) line.resize(line.size() - kBlock.size());
    const bool continues = !block && line.ends_with('\\');
    if (continues) line.back() = '\n';
    message += line;
    if (block && !ends_block) message += '\n';
    if (!continues && (!block || ends_block)) break;
  }
  while (message.ends_with('\n')) message.pop_back();
  return LineEditor::Got::line;
}

void Chat::answer(const std::string& message) {
  TextStream out(is_terminal(STDOUT_FILENO) ? TextStream::Target::terminal : TextStream::Target::pipe,
                 terminal_width(STDOUT_FILENO));
  // The white space that many templates have a model begin with is no part of what one reads.
  bool begun = !conversation_->is_chat();
  stats_ = conversation_->answer(message, seed_, [&](std::string_view text) {
    if (!begun) text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
    begun = begun || !text.empty();
    out.push(text);
  });
  out.finish();
  out.end_line();
  if (is_interactive_ && stats_.finish_reason == "interrupted") write_stderr("[stopped]\n");
  if (stats_.n_dropped > 0 && model_.verbosity != Verbosity::quiet) {
    say("note: the context was full: the oldest " + std::to_string(stats_.n_dropped) +
        (conversation_->is_chat() ? " messages" : " tokens") + " were forgotten");
  }
  if (stats_.finish_reason == finish_reason_name(FinishReason::context) && model_.verbosity != Verbosity::quiet) {
    say("note: the context is full: the answer ends here");
  }
  if (is_interactive_ && caught_signal() == SIGINT) forget_interrupt();
}

void Chat::save(const std::string& path) const {
  std::string messages;
  const auto add = [&](const ChatMessage& message) {
    messages += (messages.empty() ? "" : ",") +
                JsonObject().string("role", message.role).string("content", message.content).text();
  };
  if (!conversation_->system().empty()) add({"system", conversation_->system()});
  for (const ChatMessage& message : conversation_->messages()) add(message);
  if (std::filesystem::exists(path)) {
    fail(ExitCode::usage, "/save: " + printable(path, 400) + ": exists already, and nothing is replaced");
  }
  const std::string line = JsonObject().raw("messages", "[" + messages + "]").text() + "\n";
  OutputFile file(path, Overwrite::refuse, inputs_);
  file.resize(line.size());
  file.write(0, std::as_bytes(std::span(line)));
  file.commit();
  write_stderr("wrote " + printable(path, 400) + "\n");
}

void Chat::set_seed(const std::string& text) {
  if (!text.empty()) {
    uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc() || end != text.data() + text.size()) {
      fail(ExitCode::usage, "/seed: expected a whole number, found \"" + printable(text) + "\"");
    }
    seed_ = seed;
  }
  write_stderr("seed " + std::to_string(seed_) + "\n");
}

void Chat::show_stats() const {
  const auto rate = [](size_t n, double ms) { return fixed(ms > 0 ? 1000 * static_cast<double>(n) / ms : 0, 1); };
  const size_t n_new = stats_.n_context - stats_.n_reused;  // they give the answer's first token, too
  write_stderr("context  " + std::to_string(stats_.n_context) + " tokens, " + std::to_string(stats_.n_reused) +
               " kept from earlier turns\n"
               "prompt   " + std::to_string(n_new) + " tokens in " + fixed(stats_.prompt_ms, 0) + " ms, " +
               rate(n_new, stats_.prompt_ms) + " tokens/s\n"
               "answer   " + std::to_string(stats_.n_tokens) + " tokens in " + fixed(stats_.answer_ms, 0) + " ms, " +
               rate(stats_.n_tokens - std::min<size_t>(stats_.n_tokens, 1), stats_.answer_ms) + " tokens/s\n"
               "ended    " + std::string(stats_.finish_reason.empty() ? "nothing yet" : stats_.finish_reason) +
               "\nseed     " + std::to_string(seed_) + "\n");
}

Chat::Next Chat::command(std::string_view name, const std::string& value) {
  if (name == "/quit" || name == "/exit" || name == "/bye") return Next::ends;
  if (name == "/help" || name == "/?") {
    write_stderr(help_text());
  } else if (name == "/reset") {
    conversation_->begin(conversation_->system());
    write_stderr("begun anew\n");
  } else if (name == "/system") {
    if (!conversation_->is_chat()) fail(ExitCode::usage, "/system: " + std::string(kNoSystem));
    conversation_->begin(value);
    write_stderr(value.empty() ? "begun anew, without a system message\n" : "begun anew, with this system message\n");
  } else if (name == "/save") {
    if (value.empty()) fail(ExitCode::usage, "/save: expected a file's name, found none");
    save(value);
  } else if (name == "/seed") {
    set_seed(value);
  } else if (name == "/stats") {
    show_stats();
  } else {
    fail(ExitCode::usage,
         "unknown command \"" + printable(name) + "\" (/help lists them; a space before / makes it text)");
  }
  return Next::goes_on;
}

// A fault of a message or a command is said, and the conversation goes on; from a pipe its exit code is the program's.
Chat::Next Chat::take(const std::string& message) {
  try {
    if (!message.starts_with('/')) {
      answer(message);
      return Next::goes_on;
    }
    const size_t end = std::min(message.find_first_of(" \t\n"), message.size());
    const size_t begin = std::min(message.find_first_not_of(" \t\n", end), message.size());
    return command(std::string_view(message).substr(0, end), message.substr(begin));
  } catch (const Error& error) {
    if (error.code() == ExitCode::model) throw;
    say(error.what());
    if (!is_interactive_) status_ = static_cast<int>(error.code());
    return Next::goes_on;
  }
}

int Chat::run(const std::vector<std::string>& operands) {
  if (!operands.empty()) {
    fail(ExitCode::usage, "chat: expected no text, found \"" + printable(operands[0]) +
                              "\" (messages are typed, or come from stdin)");
  }
  is_interactive_ = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  const Model model = load_model(model_);
  const std::optional<ChatTemplate> chat = chat_template_of(model, form_);
  if (system_ && !chat) fail(ExitCode::usage, "chat: --system: " + std::string(kNoSystem));
  static_cast<void>(request_.resolve(model.config()));
  gpt2::add_inputs(model_, "-m", inputs_);
  if (!request_.seed && getrandom(&seed_, sizeof seed_, 0) != sizeof seed_) {
    fail_errno("getrandom", "draw a seed", errno);
  }
  seed_ = request_.seed ? *request_.seed : drawn_seed(seed_);
  Engine engine(model, engine_.resolve(model));
  Conversation conversation(engine, request_, chat);
  conversation.begin(system_.value_or(""));
  conversation_ = &conversation;
  say_what_it_is(model, conversation);
  catch_interrupts(is_interactive_ ? SecondInterrupt::is_ignored : SecondInterrupt::ends);
  if (is_interactive_) {
    editor_ = std::make_unique<LineEditor>();
  } else {
    lines_ = std::make_unique<LineReader>("-", '\n', kMaxLineBytes);
  }
  for (std::string message; !interrupt_flag();) {
    const LineEditor::Got got = read_message(message);
    if (got == LineEditor::Got::cancelled) {
      write_output("\n");
      continue;
    }
    if (got == LineEditor::Got::end) break;
    if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
    if (editor_) editor_->remember(message);
    if (take(message) == Next::ends) break;
  }
  editor_.reset();
  model.check_unchanged();
  if (is_interactive_) write_output("\n");
  if (interrupt_flag()) throw Interrupted{};
  return status_;
}

}  // namespace

std::unique_ptr<Command> make_chat() { return std::make_unique<Chat>(); }

}  // namespace gpt2
