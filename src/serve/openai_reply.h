// The forms of OpenAI's answers: completions and chat completions, whole and in chunks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/serve/api.h"
#include "src/serve/openai_request.h"
#include "src/serve/text_run.h"

namespace gpt2 {

enum class OpenAiForm { completion, chat };

class OpenAiReply {
 public:
  // All references outlive it.
  OpenAiReply(const Api& api, OpenAiForm form, const OpenAiRequest& request);

  // Returns the whole answer.
  std::string whole(TextRun& run) const;
  // Returns the chunk with what is new of a choice, empty if nothing is: {"choices": [..]}. `index`: the choice's.
  std::string chunk(TextRun& run, uint32_t index);
  // Returns the chunk that tells the usage and no choice.
  std::string usage_chunk(const TextRun& run) const;

 private:
  // How far a choice has been told.
  struct Told {
    bool has_begun = false;
    size_t n_listed = 0;             // tokens whose log-probabilities were told
    std::optional<TokenText> texts;  // of those
    size_t offset = 0;               // characters of them
  };
  std::string head(std::string_view object) const;
  std::string chunk_of(const std::string& members) const;
  std::string choice_logprobs(const Sample& sample, size_t prompt, Told& told) const;
  std::string completion_logprobs(const Sample& sample, size_t prompt, Told& told) const;
  std::string chat_logprobs(const Sample& sample, Told& told) const;
  std::vector<size_t> best_choices(std::vector<Choice>& choices) const;

  const Api& api_;
  const OpenAiForm form_;
  const OpenAiRequest& request_;
  std::string id_;
  uint64_t created_ = 0;
  std::string chunk_head_;      // what all chunks begin with
  std::vector<Told> streamed_;  // by choice
};

// Returns a token's text as OpenAI spells it: "bytes:\xe2\x80" where its bytes are no whole characters.
std::string token_spelling(std::string_view bytes);

}  // namespace gpt2
