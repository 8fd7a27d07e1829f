#include "src/engine/engine.h"

#include <algorithm>
#include <utility>

#include "src/base/error.h"

namespace gpt2 {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::running: return "running";
    case FinishReason::eos: return "eos";
    case FinishReason::length: return "length";
    case FinishReason::context: return "context";
    case FinishReason::no_token: return "no_token";
    case FinishReason::nonfinite: return "nonfinite";
  }
  return "?";
}

namespace {

size_t blocks_of(uint32_t n_ctx) { return (n_ctx + kBlockPositions - 1) / kBlockPositions; }

}  // namespace

Engine::Engine(const Model& model, const EngineOptions& options)
    : model_(model),
      options_(options),
      pool_(KvLayout(model.config(), options.kv_type), blocks_of(model.config().n_ctx) * (options.max_slots + 1)),
      team_(options.threads),
      workspace_(model.config(), std::max(std::min(options.prefill_chunk, model.config().n_ctx), options.max_slots),
                 options.max_slots, options.threads),
      sampler_(model.config().n_vocab),
      slots_(options.max_slots) {
  GPT2_CHECK(options.kernels != nullptr && options.max_slots > 0 && options.prefill_chunk > 0);
  rows_.reserve(workspace_.max_rows());
  sequences_.reserve(options.max_slots);
  stepped_.reserve(options.max_slots);
  results_.reserve(options.max_slots);
}

std::optional<Prefix> Engine::prefill(std::span<const int32_t> tokens, const std::atomic<bool>* cancel) {
  const Config& config = model_.config();
  GPT2_CHECK(!tokens.empty() && tokens.size() <= config.n_ctx);
  Prefix prefix(KvSequence(pool_, config.n_ctx));
  prefix.tokens_.reserve(size_t{config.n_ctx} + 1);
  prefix.tokens_.assign(tokens.begin(), tokens.end());
  for (size_t begin = 0; begin < tokens.size();) {
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) return std::nullopt;
    const size_t end = std::min(tokens.size(), begin + workspace_.max_rows());
    const bool extended = prefix.kv_.extend(static_cast<uint32_t>(end));
    GPT2_CHECK(extended);
    rows_.clear();
    for (size_t i = begin; i < end; ++i) {
      const Wants wants = i + 1 == tokens.size() ? Wants::logits : Wants::nothing;
      rows_.push_back({0, static_cast<uint32_t>(i), tokens[i], wants});
    }
    KvSequence* const sequence = &prefix.kv_;
    const ForwardResult result = forward(config, model_.weights(), rows_, {&sequence, 1}, pool_.layout(), workspace_,
                                         *options_.kernels, team_);
    if (end == tokens.size()) {
      const auto logits = result.logits.row(0);
      prefix.logits_.assign(logits.begin(), logits.end());
      prefix.finite_ = result.argmax[0].finite;
    }
    begin = end;
  }
  return prefix;
}

SlotId Engine::insert(Prefix prefix, const Request& request) {
  const auto free = std::find(slots_.begin(), slots_.end(), std::nullopt);
  GPT2_CHECK(free != slots_.end());
  *free = Slot{std::move(prefix.kv_), request, std::move(prefix.tokens_), std::move(prefix.logits_), prefix.finite_,
               -1, 0, FinishReason::running};
  return static_cast<SlotId>(free - slots_.begin());
}

std::span<const StepResult> Engine::generate() {
  const Config& config = model_.config();
  rows_.clear();
  sequences_.clear();
  stepped_.clear();
  results_.clear();
  for (SlotId id = 0; id < slots_.size(); ++id) {
    if (!slots_[id] || slots_[id]->finish != FinishReason::running) continue;
    Slot& slot = *slots_[id];
    const uint32_t position = slot.kv.length();
    if (slot.last_token < 0) {
      Argmax argmax;
      const auto best = std::max_element(slot.prefix_logits.begin(), slot.prefix_logits.end());
      argmax.token = static_cast<int32_t>(best - slot.prefix_logits.begin());
      argmax.finite = slot.prefix_finite;
      results_.push_back(advance(id, slot.prefix_logits, argmax));
    } else if (position == config.n_ctx) {
      slot.finish = FinishReason::context;
      results_.push_back({id, std::nullopt, slot.finish});
    } else {
      const bool extended = slot.kv.extend(position + 1);
      GPT2_CHECK(extended);
      const Wants wants = slot.request.sampling.is_plain_argmax() ? Wants::argmax : Wants::logits;
      rows_.push_back({static_cast<uint32_t>(sequences_.size()), position, slot.last_token, wants});
      sequences_.push_back(&slot.kv);
      stepped_.push_back(id);
    }
  }
  if (rows_.empty()) return results_;
  const ForwardResult result =
      forward(config, model_.weights(), rows_, sequences_, pool_.layout(), workspace_, *options_.kernels, team_);
  for (size_t i = 0; i < stepped_.size(); ++i) {
    const bool sampled = result.logits.rows() > 0 && !slots_[stepped_[i]]->request.sampling.is_plain_argmax();
    const auto logits = sampled ? result.logits.row(i) : std::span<const float>();
    results_.push_back(advance(stepped_[i], logits, result.argmax[i]));
  }
  return results_;
}

// Chooses the slot's next token from the logits after its last one.
StepResult Engine::advance(SlotId id, std::span<const float> logits, const Argmax& argmax) {
  Slot& slot = *slots_[id];
  const Request& request = slot.request;
  if (!argmax.finite) {
    slot.finish = FinishReason::nonfinite;
    return {id, std::nullopt, slot.finish};
  }
  if (slot.n_generated == request.max_new_tokens) {  // only for max_new_tokens = 0
    slot.finish = FinishReason::length;
    return {id, std::nullopt, slot.finish};
  }
  std::optional<int32_t> token = argmax.token;
  if (!request.sampling.is_plain_argmax()) {
    const TextSoFar text = {slot.tokens, slot.n_generated, model_.config().eos_token_ids};
    token = sampler_.sample(logits, request.sampling, text, PositionNoise(request.seed, request.sample, slot.kv.length()));
  }
  if (!token) {
    slot.finish = FinishReason::no_token;
    return {id, std::nullopt, slot.finish};
  }
  slot.last_token = *token;
  slot.tokens.push_back(*token);
  ++slot.n_generated;
  if (!request.ignore_eos && model_.is_eos(slot.last_token)) {
    slot.finish = FinishReason::eos;
  } else if (slot.n_generated == request.max_new_tokens) {
    slot.finish = FinishReason::length;
  }
  return {id, slot.last_token, slot.finish};
}

void Engine::restart(SlotId id, uint32_t sample) {
  GPT2_CHECK(id < slots_.size() && slots_[id]);
  Slot& slot = *slots_[id];
  const size_t n_prompt = slot.tokens.size() - slot.n_generated;
  slot.kv.truncate(static_cast<uint32_t>(n_prompt));
  slot.tokens.resize(n_prompt);
  slot.request.sample = sample;
  slot.last_token = -1;
  slot.n_generated = 0;
  slot.finish = FinishReason::running;
}

void Engine::release(SlotId slot) {
  GPT2_CHECK(slot < slots_.size() && slots_[slot]);
  slots_[slot].reset();
}

uint32_t Engine::free_slots() const noexcept {
  return static_cast<uint32_t>(std::count(slots_.begin(), slots_.end(), std::nullopt));
}

}  // namespace gpt2
