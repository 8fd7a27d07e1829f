// The option that names a template of conversations, for the tables of commands that read messages.
#pragma once

#include <optional>

#include "src/text/chat_template.h"
#include "tools/options.h"

namespace gpt2 {

inline Option chat_template_option(std::optional<ChatForm>& form) {
  return {"--chat-template", "", "Take this template instead of the checkpoint's own.",
          choice_value(form, {{"chatml", ChatForm::chatml},
                              {"llama2", ChatForm::llama2},
                              {"llama3", ChatForm::llama3},
                              {"zephyr", ChatForm::zephyr},
                              {"gemma", ChatForm::gemma}})};
}

}  // namespace gpt2
