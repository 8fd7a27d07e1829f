#include "src/text/chat_template.h"

#include <utility>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

using Kind = ChatPiece::Kind;

constexpr std::pair<ChatForm, std::string_view> kNames[] = {{ChatForm::chatml, "chatml"},
                                                            {ChatForm::llama2, "llama2"},
                                                            {ChatForm::llama3, "llama3"},
                                                            {ChatForm::zephyr, "zephyr"},
                                                            {ChatForm::gemma, "gemma"}};
constexpr std::string_view kImStart = "<|im_start|>", kImEnd = "<|im_end|>";
constexpr std::string_view kTurn = "<start_of_turn>", kTurnEnd = "<end_of_turn>";
// Llama 3.1 and 3.2: the template's own dates where no other is given; today's would make the same input another text.
constexpr std::string_view kDates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// White space as Python's str.strip() has it.
bool is_space(const CodePoint& c) {
  const uint32_t v = c.value;
  return c.valid && ((v >= 9 && v <= 13) || (v >= 28 && v <= 32) || v == 0x85 || v == 0xA0 || v == 0x1680 ||
                     (v >= 0x2000 && v <= 0x200A) || v == 0x2028 || v == 0x2029 || v == 0x202F || v == 0x205F ||
                     v == 0x3000);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = decode_utf8(text);
    if (!is_space(first)) break;
    text.remove_prefix(first.length);
  }
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    const CodePoint last = decode_utf8(text.substr(begin));
    if (!is_space(last) || begin + last.length != text.size()) break;
    text.remove_suffix(last.length);
  }
  return text;
}

// The text of a string literal of Jinja: \n, \t, \\, \' and \".
std::string unescaped(std::string_view literal) {
  std::string out;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      out += literal[i];
      continue;
    }
    const char c = literal[++i];
    if (c == 'n' || c == 't') {
      out += c == 'n' ? '\n' : '\t';
    } else {
      if (c != '\\' && c != '\'' && c != '"') out += '\\';
      out += c;
    }
  }
  return out;
}

// The system message that a chatml template writes where there is none: a literal from the role to the message's end.
std::string default_system(std::string_view jinja) {
  for (size_t at = 0; (at = jinja.find("<|im_start|>system", at)) != std::string_view::npos;) {
    at += std::string_view("<|im_start|>system").size();
    const std::string_view rest = jinja.substr(at);
    const size_t skip = rest.starts_with("\\n") ? 2 : rest.starts_with("\n") ? 1 : 0;
    const std::string_view content = rest.substr(skip, rest.find(kImEnd) - skip);
    if (skip == 0 || content.size() + skip >= rest.size() || has(content, "{{") || has(content, "}}") ||
        has(content, "{%") || has(content, " + ")) {
      continue;
    }
    return unescaped(content);
  }
  return "";
}

// Appends pieces; text that follows text becomes one piece, as it is one text for the tokenizer.
class Renderer {
 public:
  explicit Renderer(const ChatTemplate& chat) : chat_(chat) {}

  Renderer& text(std::string_view text) {
    if (text.empty()) return *this;
    if (pieces_.empty() || pieces_.back().kind != Kind::text) pieces_.push_back({Kind::text, ""});
    pieces_.back().text += text;
    return *this;
  }
  Renderer& control(std::string_view text) {
    pieces_.push_back({Kind::control, std::string(text)});
    return *this;
  }
  Renderer& token(Kind kind) {
    pieces_.push_back({kind, ""});
    return *this;
  }

  // `system`: what stands before a first message of the user, where the form has it there.
  void message(std::string_view role, std::string_view content, std::string_view system = {}) {
    open(role);
    if (role == "system" && chat_.dated) text(kDates);
    const std::string whole = system.empty() ? std::string(content)
                                             : "<<SYS>>\n" + std::string(system) + "\n<</SYS>>\n\n" +
                                                   std::string(content);
    text(chat_.trims ? trimmed(whole) : std::string_view(whole));
    close(role);
  }

  void open(std::string_view role) {
    switch (chat_.form) {
      case ChatForm::chatml: control(kImStart).text(role).text("\n"); break;
      case ChatForm::llama2:
        if (role == "user") token(Kind::bos).text("[INST] ");
        if (role == "assistant") text(" ");
        break;
      case ChatForm::llama3:
        control("<|start_header_id|>").text(role).control("<|end_header_id|>").text("\n\n");
        break;
      case ChatForm::zephyr: control("<|" + std::string(role) + "|>").text("\n"); break;
      case ChatForm::gemma: control(kTurn).text(role == "assistant" ? "model" : role).text("\n"); break;
    }
  }

  void close(std::string_view role) {
    switch (chat_.form) {
      case ChatForm::chatml: control(kImEnd).text("\n"); break;
      case ChatForm::llama2:
        if (role == "user") text(" [/INST]");
        if (role == "assistant") text(" ").token(Kind::eos);
        break;
      case ChatForm::llama3: control("<|eot_id|>"); break;
      case ChatForm::zephyr: token(Kind::eos).text("\n"); break;
      case ChatForm::gemma: control(kTurnEnd).text("\n"); break;
    }
  }

  void begin_reply() {
    if (chat_.form != ChatForm::llama2) open("assistant");
  }

  ChatPieces take() { return std::move(pieces_); }

 private:
  const ChatTemplate& chat_;
  ChatPieces pieces_;
};

bool alternates(ChatForm form) { return form == ChatForm::llama2 || form == ChatForm::gemma; }
bool begins_with_bos(ChatForm form) { return form == ChatForm::llama3 || form == ChatForm::gemma; }

void check_messages(const ChatTemplate& chat, std::span<const ChatMessage> messages) {
  if (messages.empty()) fail(ExitCode::input, "messages: expected at least one, found none");
  const bool has_system = messages[0].role == "system";
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    const std::string item = "messages[" + std::to_string(i) + "]: expected ";
    if (role != "system" && role != "user" && role != "assistant") {
      fail(ExitCode::input, item + "the role system, user or assistant, found \"" + printable(role) + "\"");
    }
    if (role == "system" && chat.form == ChatForm::gemma) {
      fail(ExitCode::input, item + "user or assistant (gemma's template has no system message), found \"system\"");
    }
    if (role == "system" && i > 0) fail(ExitCode::input, item + "the system message first, found it later");
    if (role == "system" || !alternates(chat.form)) continue;
    const std::string_view wanted = (i - (has_system ? 1 : 0)) % 2 == 0 ? "user" : "assistant";
    if (role != wanted) {
      fail(ExitCode::input, item + std::string(wanted) + " (" + std::string(name_of(chat.form)) +
                                "'s template has user and assistant take turns), found \"" + role + "\"");
    }
  }
  if (has_system && messages.size() == 1 && chat.form == ChatForm::llama2) {
    fail(ExitCode::input, "messages: expected one of the user's behind the system message, found none");
  }
}

}  // namespace

std::string_view name_of(ChatForm form) {
  for (const auto& [known, name] : kNames) {
    if (known == form) return name;
  }
  return "";
}

std::optional<ChatForm> chat_form_of(std::string_view name) {
  for (const auto& [form, known] : kNames) {
    if (known == name) return form;
  }
  return std::nullopt;
}

ChatTemplate standard_template(ChatForm form) {
  return {form, form == ChatForm::llama2 || form == ChatForm::llama3 || form == ChatForm::gemma, false, ""};
}

std::optional<ChatTemplate> recognise_template(std::string_view jinja) {
  std::optional<ChatForm> form;
  if (has(jinja, kImStart) && has(jinja, kImEnd)) {
    form = ChatForm::chatml;
  } else if (has(jinja, "<|start_header_id|>") && has(jinja, "<|eot_id|>")) {
    form = ChatForm::llama3;
  } else if (has(jinja, kTurn) && has(jinja, kTurnEnd)) {
    form = ChatForm::gemma;
  } else if (has(jinja, "[INST]") && has(jinja, "<<SYS>>")) {
    form = ChatForm::llama2;
  } else if (has(jinja, "<|user|>") && has(jinja, "<|assistant|>") && has(jinja, "eos_token") &&
             !has(jinja, "<|end|>")) {
    form = ChatForm::zephyr;
  }
  if (!form) return std::nullopt;
  ChatTemplate chat = {*form, has(jinja, "trim") || has(jinja, ".strip()"), false, ""};
  chat.dated = *form == ChatForm::llama3 && has(jinja, "Cutting Knowledge Date");
  if (*form == ChatForm::chatml) chat.default_system = default_system(jinja);
  return chat;
}

std::string_view foreign_template_name(std::string_view jinja) {
  constexpr std::pair<std::string_view, std::string_view> kOthers[] = {
      {"[INST]", "mistral"},         {"<|end|>", "phi3"},          {"<|START_OF_TURN_TOKEN|>", "command-r"},
      {"### Instruction", "alpaca"}, {"ASSISTANT:", "vicuna"},     {"<\xEF\xBD\x9C", "deepseek"},
      {"<|start_of_role|>", "granite"}, {"Assistant:", "deepseek"}};
  for (const auto& [feature, name] : kOthers) {
    if (has(jinja, feature)) return name;
  }
  return "unknown";
}

ChatPieces render_chat(const ChatTemplate& chat, std::span<const ChatMessage> messages, Reply reply) {
  check_messages(chat, messages);
  Renderer out(chat);
  if (begins_with_bos(chat.form)) out.token(Kind::bos);
  std::string_view system;
  const bool has_system = messages[0].role == "system";
  if (has_system && chat.form == ChatForm::llama2) {
    system = messages[0].content;
    messages = messages.subspan(1);
  } else if (!has_system && (!chat.default_system.empty() || chat.dated)) {
    out.message("system", chat.default_system);
  }
  for (const ChatMessage& message : messages) out.message(message.role, message.content, std::exchange(system, {}));
  if (reply == Reply::begins) out.begin_reply();
  return out.take();
}

ChatPieces render_next(const ChatTemplate& chat, std::string_view user) {
  Renderer out(chat);
  out.close("assistant");
  out.message("user", user);
  out.begin_reply();
  return out.take();
}

std::string_view end_of_message(ChatForm form) {
  switch (form) {
    case ChatForm::chatml: return kImEnd;
    case ChatForm::llama3: return "<|eot_id|>";
    case ChatForm::gemma: return kTurnEnd;
    default: return "";
  }
}

}  // namespace gpt2
