// How a conversation becomes one text: the templates that checkpoints are published with, recognised by what they say
// and rendered by our own code. No template from a file is ever run. What stands between messages comes from the
// template alone; a message that spells a special token stays text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

struct ChatMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

enum class ChatForm : uint8_t { chatml, llama2, llama3, zephyr, gemma };
std::string_view name_of(ChatForm form);                       // "chatml", ...
std::optional<ChatForm> chat_form_of(std::string_view name);
inline constexpr std::string_view kChatForms = "chatml|llama2|llama3|zephyr|gemma";

// A form, and what templates of one form differ in.
struct ChatTemplate {
  ChatForm form = ChatForm::chatml;
  bool trims = false;          // white space around a message is dropped
  bool dated = false;          // llama3: the system message begins with the model's dates
  std::string default_system;  // stands where a conversation has no system message; empty: none
};

// Returns the template of this form as it is usually published.
ChatTemplate standard_template(ChatForm form);
// Returns what the text of a `chat_template` (Jinja) says, by its features; nothing if it is none of the forms.
std::optional<ChatTemplate> recognise_template(std::string_view jinja);
// Returns what a template of none of the forms probably is ("mistral"), for messages.
std::string_view foreign_template_name(std::string_view jinja);

// A part of the rendered conversation.
struct ChatPiece {
  enum class Kind : uint8_t {
    text,
    control,  // a special token where the vocabulary has its text, otherwise text
    bos, eos,
  };
  Kind kind = Kind::text;
  std::string text;  // of `text` and `control`
};
using ChatPieces = std::vector<ChatPiece>;

enum class Reply { none, begins };  // whether the beginning of the assistant's next message stands at the end

// Returns the whole conversation. Throws Error (exit 4) for an unknown role, a system message that is not the first or
// that the form has no place for, and, where the form wants it, roles that do not alternate.
ChatPieces render_chat(const ChatTemplate& chat, std::span<const ChatMessage> messages, Reply reply);
// Returns what follows the assistant's message in a conversation: its end, the user's next message, and the beginning
// of the reply.
ChatPieces render_next(const ChatTemplate& chat, std::string_view user);
// Returns the text of the token that ends a message; empty where that is the end-of-text token.
std::string_view end_of_message(ChatForm form);

}  // namespace gpt2
