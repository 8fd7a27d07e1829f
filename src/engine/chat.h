// A conversation for a model: which template it has, messages from JSON, and rendered pieces as its tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json.h"
#include "src/model/model.h"
#include "src/text/chat_template.h"

namespace gpt2 {

// Returns the template that `name` asks for, or else the model's; nothing if the model has none. Throws Error (exit 3)
// for a model's template that is none of the known forms, by its name, with the way out.
std::optional<ChatTemplate> chat_template_of(const Model& model, std::optional<ChatForm> name);

// Returns the messages of [{"role": "user", "content": "text" or [{"type": "text", "text": "text"}, ..]}, ..]; the role
// developer is system. Throws Error (exit 4) naming the message.
std::vector<ChatMessage> messages_from_json(const Json& json);

// Appends the tokens of rendered pieces: control pieces are special tokens where the vocabulary has them, and no text
// is. Nothing but the pieces is put before them. Throws Error (exit 4) for a beginning-of-text token that the model
// lacks.
void append_chat_tokens(const Model& model, const ChatPieces& pieces, std::vector<TokenId>& out);

}  // namespace gpt2
