// A conversation with a model, turn by turn: what was computed for earlier turns stays, so a turn computes its own
// tokens and no others. Knows no terminal.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/chat.h"
#include "src/engine/engine.h"
#include "tools/request_arguments.h"

namespace gpt2 {

// What one turn took.
struct TurnStats {
  size_t n_context = 0;   // tokens of the conversation when the answer began
  size_t n_reused = 0;    // of them: computed in earlier turns
  size_t n_dropped = 0;   // messages (or tokens, where there are no messages) forgotten because the context was full
  size_t n_tokens = 0;    // of the answer
  double prompt_ms = 0, answer_ms = 0;
  std::string_view finish_reason;
};

class Conversation {
 public:
  using Show = std::function<void(std::string_view text)>;

  // `chat`: the model's template; none: the model continues one text, to which both sides add. All references outlive
  // the conversation. `engine` has one slot, which is this conversation's.
  Conversation(Engine& engine, const RequestArguments& arguments, std::optional<ChatTemplate> chat);

  bool is_chat() const noexcept { return chat_.has_value(); }
  // Begin anew, with a system message or (empty) without.
  void begin(std::string system);
  const std::string& system() const noexcept { return system_; }
  const std::vector<ChatMessage>& messages() const noexcept { return messages_; }

  // Adds what the user says and computes the answer until it ends or a signal comes; its text goes to `show` as it is
  // made. Throws Error (exit 4) for a message that does not fit the context, which is then not part of the
  // conversation; exit 3 for logits that are not finite.
  TurnStats answer(const std::string& user, uint64_t seed, const Show& show);

 private:
  std::vector<TokenId> tokens_with(const std::string& user) const;
  std::vector<TokenId> rendered(std::span<const ChatMessage> messages) const;
  std::vector<TokenId> fitting(const std::string& user, TurnStats& stats);
  void place(const std::vector<TokenId>& tokens, uint64_t seed, TurnStats& stats);
  std::string generate(const Show& show, TurnStats& stats);

  Engine& engine_;
  const RequestArguments& arguments_;
  std::optional<ChatTemplate> chat_;
  std::string system_;
  std::vector<ChatMessage> messages_;  // without the system message
  std::vector<TokenId> tokens_;        // of all of it, as computed
  std::optional<SlotId> slot_;
};

}  // namespace gpt2
