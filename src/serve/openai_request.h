// What a request of OpenAI's completions or chat completions asks for. Defaults are the API's: temperature 1, no top-k.
// A key that would change the answer and is not supported is refused; what is harmless is ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/io/json.h"
#include "src/serve/api.h"
#include "src/serve/text_run.h"

namespace gpt2 {

struct OpenAiRequest {
  TextRequest text;                 // text.n_samples is best_of where that is more than n
  std::vector<std::string> echoed;  // the prompts' texts, where they are to stand before the completions
  uint32_t n = 1;                   // choices of each prompt
  bool echo = false, stream = false, include_usage = false, lists_logprobs = false;
};

// Throw ApiError (400) with the key that is at fault.
OpenAiRequest parse_completion(const Json& json, const Api& api);
OpenAiRequest parse_chat_completion(const Json& json, const Api& api);

}  // namespace gpt2
