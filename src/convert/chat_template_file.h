// The template of conversations that a checkpoint directory has.
#pragma once

#include <string>
#include <vector>

namespace gpt2 {

// Returns the text of DIR/chat_template.jinja, else of chat_template in tokenizer_config.json (of a list of named ones
// that named "default"); empty where there is none. One that is too long or no text is left out with a warning. Throws
// Error (exit 3) for files that cannot be read.
std::string read_chat_template(const std::string& directory, std::vector<std::string>& warnings);

// Returns a template that stands at `file`; an empty text, with a warning, if it is too long for a model's header.
std::string stored_chat_template(std::string text, const std::string& file, std::vector<std::string>& warnings);

}  // namespace gpt2
