#include "tools/conversation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "tools/generation.h"
#include "tools/signals.h"

namespace gpt2 {
namespace {

// Positions that an answer may count on before older turns are forgotten.
uint32_t room_for_answer(const RequestArguments& arguments, uint32_t n_ctx) {
  return std::min(arguments.max_new_tokens, n_ctx / 4);
}

// What follows an answer whose last token is `last`: what the model has written of it itself does not stand there
// twice.
ChatPieces without_written_end(const Model& model, ChatPieces pieces, TokenId last) {
  const auto token = std::find_if(pieces.begin(), pieces.end(),
                                  [](const ChatPiece& piece) { return piece.kind != ChatPiece::Kind::text; });
  if (token == pieces.end()) return pieces;
  std::vector<TokenId> ids;
  append_chat_tokens(model, {*token}, ids);
  if (ids.size() == 1 && ids[0] == last) pieces.erase(pieces.begin(), token + 1);
  return pieces;
}

}  // namespace

Conversation::Conversation(Engine& engine, const RequestArguments& arguments, std::optional<ChatTemplate> chat)
    : engine_(engine), arguments_(arguments), chat_(std::move(chat)) {}

void Conversation::begin(std::string system) {
  system_ = std::move(system);
  messages_.clear();
  tokens_.clear();
}

std::vector<TokenId> Conversation::rendered(std::span<const ChatMessage> messages) const {
  std::vector<ChatMessage> all;
  if (!system_.empty()) all.push_back({"system", system_});
  all.insert(all.end(), messages.begin(), messages.end());
  std::vector<TokenId> tokens;
  append_chat_tokens(engine_.model(), render_chat(*chat_, all, Reply::begins), tokens);
  return tokens;
}

// The conversation up to the beginning of the answer.
std::vector<TokenId> Conversation::tokens_with(const std::string& user) const {
  const Model& model = engine_.model();
  if (chat_ && messages_.empty()) return rendered(std::array{ChatMessage{"user", user}});
  if (!chat_ && tokens_.empty()) {
    std::vector<TokenId> tokens = model.tokenizer().encode(user);
    begin_text(model.config(), tokens);
    return tokens;
  }
  std::vector<TokenId> tokens = tokens_;
  if (!chat_) {
    append_chat_tokens(model, {{ChatPiece::Kind::text, "\n" + user}}, tokens);
  } else {
    append_chat_tokens(model, without_written_end(model, render_next(*chat_, user), tokens.back()), tokens);
  }
  return tokens;
}

// The same where the context has room; else without the oldest turns, or the older half of one text.
std::vector<TokenId> Conversation::fitting(const std::string& user, TurnStats& stats) {
  const uint32_t n_ctx = engine_.model().config().n_ctx;
  const size_t most = n_ctx - room_for_answer(arguments_, n_ctx);
  std::vector<TokenId> tokens = tokens_with(user);
  if (tokens.size() <= most) return tokens;
  if (!chat_) {
    stats.n_dropped = tokens.size() - std::min<size_t>(tokens.size(), (n_ctx + 1) / 2);
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(stats.n_dropped));
    return tokens;
  }
  std::vector<ChatMessage> kept = messages_;
  kept.push_back({"user", user});
  while (tokens.size() > most && kept.size() > 2) {
    kept.erase(kept.begin(), kept.begin() + 2);
    stats.n_dropped += 2;
    tokens = rendered(kept);
  }
  if (tokens.size() > n_ctx) {
    fail(ExitCode::input, "the message has " + std::to_string(tokens.size()) + " tokens, the model's context only " +
                              std::to_string(n_ctx));
  }
  messages_.assign(kept.begin(), kept.end() - 1);
  return tokens;
}

void Conversation::place(const std::vector<TokenId>& tokens, uint64_t seed, TurnStats& stats) {
  Request request = arguments_.resolve(engine_.model().config());
  request.seed = seed;
  Sequence next = engine_.start(tokens, request);
  if (slot_) {
    engine_.replace(*slot_, std::move(next));
  } else {
    slot_ = engine_.insert(std::move(next));
  }
  stats.n_context = tokens.size();
  stats.n_reused = engine_.sequence(*slot_).n_computed();
}

std::string Conversation::generate(const Show& show, TurnStats& stats) {
  const Model& model = engine_.model();
  std::vector<std::string> stops = arguments_.stops;
  if (chat_ && !end_of_message(chat_->form).empty()) stops.emplace_back(end_of_message(chat_->form));
  SampleBuilder builder(TokenText(model.tokenizer(), engine_.sequence(*slot_).tokens), 0,
                        StopMatcher(stops, StopMatcher::Keep::nothing));
  std::string_view reason = "interrupted";
  size_t shown = 0;
  const auto show_new = [&] {
    show(std::string_view(builder.sample().text).substr(shown));
    shown = builder.sample().text.size();
  };
  double start = now_seconds();
  for (bool running = true; running && !builder.stopped() && !interrupt_flag();) {
    const Sequence& text = engine_.sequence(*slot_);
    const uint32_t left = text.n_known() - text.n_computed();
    const StepRows rows = {*slot_, std::min(left, engine_.limits().prompt_rows), {}};
    const StepResult result = engine_.generate(std::span(&rows, 1))[0];
    if (result.finish == FinishReason::nonfinite) {
      model.check_unchanged();
      fail(ExitCode::model, printable(model.name(), 400) + ": " + std::string(engine_.nonfinite_reason()));
    }
    if (rows.n_rows == left && stats.prompt_ms == 0) {
      stats.prompt_ms = 1000 * (now_seconds() - start);
      start = now_seconds();
    }
    running = result.finish == FinishReason::running;
    if (!running) reason = finish_reason_name(result.finish);
    for (size_t i = 0; i < result.tokens.size(); ++i) {
      builder.push(result.tokens[i], result.finish == FinishReason::eos && i + 1 == result.tokens.size());
      ++stats.n_tokens;
    }
    show_new();
  }
  builder.finish(reason);
  show_new();
  stats.answer_ms = 1000 * (now_seconds() - start);
  stats.finish_reason = builder.sample().finish_reason;
  return std::move(builder.sample().text);
}

TurnStats Conversation::answer(const std::string& user, uint64_t seed, const Show& show) {
  TurnStats stats;
  place(fitting(user, stats), seed, stats);
  messages_.push_back({"user", user});
  messages_.push_back({"assistant", generate(show, stats)});
  tokens_ = engine_.sequence(*slot_).tokens;
  // An end-of-text token that is not the template's own end of a message is no part of the conversation.
  if (stats.finish_reason != finish_reason_name(FinishReason::eos)) return stats;
  const bool is_end = chat_ && without_written_end(engine_.model(), render_next(*chat_, ""), tokens_.back()).size() <
                                   render_next(*chat_, "").size();
  if (!is_end) tokens_.pop_back();
  return stats;
}

}  // namespace gpt2
