#include "src/engine/chat.h"

#include "src/base/error.h"

namespace gpt2 {
namespace {

// Of a text that is one token and nothing else: that token. `n_before`: ids that the tokenizer puts before every text.
std::optional<TokenId> control_token(const Tokenizer& tokenizer, std::string_view text, size_t n_before) {
  const std::vector<TokenId> ids = tokenizer.encode(text, Specials::parse);
  if (ids.size() != n_before + 1 || tokenizer.token_bytes(ids.back()) != text) return std::nullopt;
  return ids.back();
}

std::string content_of(const Json& content, const std::string& item) {
  if (content.kind == Json::Kind::string) return content.string;
  if (content.kind != Json::Kind::array) {
    fail(ExitCode::input, item + ".content: expected text, or an array of parts, found " + content.describe());
  }
  std::string text;
  for (const Json& part : content.array) {
    const Json *type = part.find("type"), *words = part.find("text");
    if (type == nullptr || type->string != "text" || words == nullptr || words->kind != Json::Kind::string) {
      fail(ExitCode::input, item + ".content: expected parts of the type \"text\", found " +
                                (type == nullptr ? part.describe() : type->describe()));
    }
    text += words->string;
  }
  return text;
}

}  // namespace

std::optional<ChatTemplate> chat_template_of(const Model& model, std::optional<ChatForm> name) {
  if (name) return standard_template(*name);
  const std::string& jinja = model.file().chat_template;
  if (jinja.empty()) return std::nullopt;
  std::optional<ChatTemplate> chat = recognise_template(jinja);
  if (!chat) {
    fail_model(model.name(), "chat_template",
               "a template of the form " + std::string(kChatForms) + " (--chat-template NAME takes one of these)",
               "one of the form " + std::string(foreign_template_name(jinja)));
  }
  return chat;
}

std::vector<ChatMessage> messages_from_json(const Json& json) {
  if (json.kind != Json::Kind::array) {
    fail(ExitCode::input, "messages: expected an array of messages, found " + json.describe());
  }
  std::vector<ChatMessage> messages;
  for (const Json& message : json.array) {
    const std::string item = "messages[" + std::to_string(messages.size()) + "]";
    const Json *role = message.find("role"), *content = message.find("content");
    if (role == nullptr || role->kind != Json::Kind::string || content == nullptr) {
      fail(ExitCode::input, item + ": expected an object with role and content, found " + message.describe());
    }
    messages.push_back({role->string == "developer" ? "system" : role->string, content_of(*content, item)});
  }
  return messages;
}

void append_chat_tokens(const Model& model, const ChatPieces& pieces, std::vector<TokenId>& out) {
  const Tokenizer& tokenizer = model.tokenizer();
  const size_t n_before = tokenizer.encode("").size();
  std::string text;  // until a token of the template ends it
  const auto end_text = [&] {
    if (text.empty()) return;
    const std::vector<TokenId> ids = tokenizer.encode(text);
    out.insert(out.end(), ids.begin() + static_cast<std::ptrdiff_t>(n_before), ids.end());
    text.clear();
  };
  for (const ChatPiece& piece : pieces) {
    std::optional<TokenId> token;
    switch (piece.kind) {
      case ChatPiece::Kind::text: break;
      case ChatPiece::Kind::control: token = control_token(tokenizer, piece.text, n_before); break;
      case ChatPiece::Kind::bos: token = model.config().bos_token_id; break;
      case ChatPiece::Kind::eos:
        if (!model.config().eos_token_ids.empty()) token = model.config().eos_token_ids.front();
        break;
    }
    if (!token) {
      text += piece.text;
      continue;
    }
    if (*token < 0) fail(ExitCode::input, "the chat template needs a beginning-of-text token, which the model lacks");
    end_text();
    out.push_back(*token);
  }
  end_text();
}

}  // namespace gpt2
