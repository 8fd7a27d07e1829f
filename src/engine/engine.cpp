// Over 400 lines: one class, and the life of a slot reads from top to bottom.
#include "src/engine/engine.h"

#include <algorithm>
#include <utility>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"

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

std::string_view Engine::nonfinite_reason() const noexcept {
  return pool_.overflowed() ? "logits are not finite: the f16 cache ends at 65504 and keys or values do not (--kv-dtype f32 holds them), or the weights are damaged"
                            : "logits are not finite: the weights are damaged or unusable";
}

namespace {

size_t blocks_of(uint32_t n_ctx) { return (n_ctx + kBlockPositions - 1) / kBlockPositions; }

size_t pool_blocks(const Config& config, const EngineOptions& options) {
  const size_t one = blocks_of(config.n_ctx);
  return options.kv_blocks > 0 ? std::max(options.kv_blocks, one + 1) : one * (options.max_slots + 1);
}

uint32_t step_rows(const Config& config, const EngineOptions& options) {
  return std::max(std::min(options.prefill_chunk, config.n_ctx), 1u) + options.max_slots * (1 + options.max_draft);
}

}  // namespace

Prefix Prefix::fork() const {
  Prefix copy(kv_.fork(), window_);
  copy.window_.text.reserve(window_.text.capacity());
  copy.logits_ = logits_;
  copy.n_cached_ = n_cached_;
  copy.finite_ = finite_;
  return copy;
}

Engine::Engine(const Model& model, const EngineOptions& options)
    : model_(model),
      options_(options),
      pool_(KvLayout(model.config(), options.kv_type), pool_blocks(model.config(), options)),
      cache_(pool_),
      team_(options.threads),
      workspace_(model.config(), step_rows(model.config(), options), options.max_slots * (1 + options.max_draft) + 1, options.threads),
      slots_(options.max_slots) {
  GPT2_CHECK(options.kernels != nullptr && options.max_slots > 0 && options.prefill_chunk > 0 && options.max_draft <= kMaxDraft);
  samplers_.reserve(team_.size());
  for (uint32_t i = 0; i < team_.size(); ++i) {
    samplers_.emplace_back(model.config().n_vocab);
    verifiers_.emplace_back(model.config().n_vocab);
  }
  rows_.reserve(workspace_.max_rows());
  sequences_.reserve(size_t{options.max_slots} * 2 + 1);
  stepped_.reserve(options.max_slots);
  computed_.reserve(options.max_slots);
  results_.reserve(options.max_slots);
}

Prefix Engine::start(TokenWindow window) {
  const Config& config = model_.config();
  GPT2_CHECK(window.size() > 0 && window.size() <= config.n_ctx);
  Prefix prefix(KvSequence(pool_, config.n_ctx), std::move(window));
  prefix.window_.text.reserve(std::max<size_t>(prefix.window_.text.size(), config.n_ctx) + kMaxDraft + 2);
  if (options_.prefix_cache && prefix.window_.dropped == 0) {
    // The last token's row must be computed.
    prefix.kv_.adopt(cache_.find(std::span(prefix.window_.text).first(prefix.window_.text.size() - 1)));
    prefix.n_cached_ = prefix.kv_.length();
  }
  return prefix;
}

std::optional<Prefix> Engine::prefill(std::span<const int32_t> tokens, const std::atomic<bool>* cancel) {
  Prefix prefix = start({{tokens.begin(), tokens.end()}, 0, 0});
  const uint32_t chunk = std::min(options_.prefill_chunk, model_.config().n_ctx);
  while (!prefix.complete()) {
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) return std::nullopt;
    rows_.clear();
    sequences_.clear();
    n_outputs_ = 0;
    add_prompt_rows({&prefix, std::min(chunk, prefix.n_tokens() - prefix.n_computed())});
    const ForwardResult result = compute();
    if (n_outputs_ == 0) continue;
    prefix.logits_.assign(result.logits.row(0).begin(), result.logits.row(0).end());
    prefix.finite_ = result.argmax[0].finite;
  }
  publish(prefix.kv_, prefix.window_);
  return prefix;
}

SlotId Engine::insert(Prefix prefix, const Request& request, uint32_t n_generated) {
  GPT2_CHECK(prefix.complete() && request.n_logprobs <= kMaxLogprobs);
  GPT2_CHECK(!request.slide || request.slide_keep < model_.config().n_ctx / 2);
  const auto free = std::find(slots_.begin(), slots_.end(), std::nullopt);
  GPT2_CHECK(free != slots_.end());
  Slot& slot = free->emplace(std::move(prefix.kv_));
  slot.request = request;
  slot.window = std::move(prefix.window_);
  slot.prefix_logits = std::move(prefix.logits_);
  slot.prefix_finite = prefix.finite_;
  slot.n_generated = n_generated;
  const size_t most = options_.max_draft + 2;
  if (request.n_logprobs > 0) {
    slot.chosen.reserve(most);
    slot.top.reserve(most * request.n_logprobs);
  }
  return static_cast<SlotId>(free - slots_.begin());
}

uint32_t Engine::room_for_draft(SlotId id) const noexcept {
  const Slot& slot = *slots_[id];
  const Request& request = slot.request;
  if (slot.finish != FinishReason::running) return 0;
  // The step's own token and, before the first step, the one that needs no row come before a draft's.
  const uint32_t own = slot.has_last ? 1 : 2;
  const uint32_t left = request.max_new_tokens - std::min(request.max_new_tokens, slot.n_generated);
  const uint32_t positions = model_.config().n_ctx - slot.kv.length();
  return std::min({options_.max_draft, left > own ? left - own : 0, positions > 1 ? positions - 1 : 0});
}

void Engine::propose(SlotId id, std::span<const int32_t> tokens) {
  Slot& slot = *slots_[id];
  GPT2_CHECK(tokens.size() <= room_for_draft(id));
  std::copy(tokens.begin(), tokens.end(), slot.proposed.begin());
  slot.n_proposed = static_cast<uint32_t>(tokens.size());
  slot.by_rejection = false;
}

void Engine::propose(SlotId id, std::span<const int32_t> tokens, std::span<const std::vector<TokenProbability>> drafts) {
  GPT2_CHECK(drafts.empty() || drafts.size() == tokens.size());
  propose(id, tokens);
  slots_[id]->by_rejection = true;
  slots_[id]->drafts = drafts;
}

bool Engine::is_decoding(SlotId id) const noexcept {
  return slots_[id] && slots_[id]->finish == FinishReason::running && slots_[id]->has_last && !slots_[id]->held;
}

void Engine::reserve_blocks(size_t n) {
  while (pool_.free_blocks() < n) {
    const bool evicted = cache_.evict();
    GPT2_CHECK(evicted);
  }
}

bool Engine::extend(KvSequence& kv, uint32_t n) {
  const size_t needed = kv.blocks_to_extend(n);
  while (pool_.free_blocks() < needed && cache_.evict()) {
  }
  return kv.extend(n);
}

void Engine::publish(const KvSequence& kv, const TokenWindow& window) {
  if (!options_.prefix_cache || window.dropped > 0) return;
  const size_t whole = kv.length() / kBlockPositions;
  cache_.publish(std::span(window.text).first(whole * kBlockPositions), kv.block_ids().first(whole));
}

void Engine::add_prompt_rows(const PrefillPart& part) {
  Prefix& prefix = *part.prefix;
  const uint32_t begin = prefix.kv_.length(), end = begin + part.n_rows;
  GPT2_CHECK(part.n_rows > 0 && end <= prefix.n_tokens());
  const bool extended = extend(prefix.kv_, end);
  GPT2_CHECK(extended);
  const auto sequence = static_cast<uint32_t>(sequences_.size());
  sequences_.push_back(&prefix.kv_);
  for (uint32_t i = begin; i < end; ++i) {
    const bool last = i + 1 == prefix.n_tokens();
    rows_.push_back({sequence, i, prefix.window_[i], last ? Wants::logits : Wants::nothing});
    n_outputs_ += last ? 1 : 0;
  }
}

// Forgets the older half of what may be forgotten and computes the rest at its new positions.
void Engine::slide(Slot& slot) {
  const uint32_t n_ctx = model_.config().n_ctx, keep = slot.request.slide_keep;
  const uint32_t forget = (slot.window.size() - keep) / 2 + 1;
  slot.window.kept = keep;
  slot.window.dropped += forget;
  slot.kv.truncate(0);
  Prefix again(std::move(slot.kv), std::move(slot.window));
  const uint32_t chunk = std::min(options_.prefill_chunk, n_ctx), wanted = again.n_tokens() - 1;  // the last row is the step's own
  while (again.n_computed() < wanted) {
    rows_.clear();
    sequences_.clear();
    add_prompt_rows({&again, std::min(chunk, wanted - again.n_computed())});
    compute();
  }
  slot.kv = std::move(again.kv_);
  slot.window = std::move(again.window_);
}

void Engine::begin_step(Slot& slot) {
  slot.n_tokens = slot.n_accepted = slot.n_rows = 0;
  slot.chosen.clear();
  slot.top.clear();
  if (!slot.has_last) {
    Argmax argmax;
    const auto best = std::max_element(slot.prefix_logits.begin(), slot.prefix_logits.end());
    argmax.token = static_cast<int32_t>(best - slot.prefix_logits.begin());
    argmax.finite = slot.prefix_finite;
    choose(slot, slot.prefix_logits, argmax, samplers_[0], kMaxDraft);
    slot.has_last = slot.n_tokens > 0;
  }
  if (slot.finish == FinishReason::running && slot.kv.length() == model_.config().n_ctx) {
    if (slot.request.slide) {
      slide(slot);
    } else {
      slot.finish = FinishReason::context;
    }
  }
}

// The newest token's row and those of what was proposed to follow it.
void Engine::add_rows(Slot& slot) {
  const uint32_t position = slot.kv.length();
  const bool extended = extend(slot.kv, position + 1 + slot.n_proposed);
  GPT2_CHECK(extended);
  const Request& request = slot.request;
  const Wants wants = request.sampling.is_plain_argmax() && request.n_logprobs == 0 ? Wants::argmax : Wants::logits;
  const auto sequence = static_cast<uint32_t>(sequences_.size());
  sequences_.push_back(&slot.kv);
  slot.first_output = n_outputs_;
  slot.n_rows = 1 + slot.n_proposed;
  rows_.push_back({sequence, position, slot.window.text.back(), wants});
  for (uint32_t i = 0; i < slot.n_proposed; ++i) rows_.push_back({sequence, position + 1 + i, slot.proposed[i], wants});
  n_outputs_ += slot.n_rows;
}

ForwardResult Engine::compute() {
  return forward(model_.config(), model_.weights(), {rows_, sequences_}, workspace_, {*options_.kernels, team_});
}

std::span<const StepResult> Engine::generate(std::span<const PrefillPart> parts) {
  stepped_.clear();
  computed_.clear();
  results_.clear();
  for (SlotId id = 0; id < slots_.size(); ++id) {
    if (!slots_[id] || slots_[id]->finish != FinishReason::running || std::exchange(slots_[id]->held, false)) continue;
    begin_step(*slots_[id]);
    stepped_.push_back(id);
    if (slots_[id]->finish == FinishReason::running) computed_.push_back(id);
  }
  rows_.clear();
  sequences_.clear();
  n_outputs_ = 0;
  for (const SlotId id : computed_) add_rows(*slots_[id]);
  for (const PrefillPart& part : parts) add_prompt_rows(part);
  if (!rows_.empty()) {
    const ForwardResult result = compute();
    const auto samples = [&](SlotId id) {
      return !slots_[id]->request.sampling.is_plain_argmax() || slots_[id]->request.n_logprobs > 0;
    };
    if (computed_.size() > 1 && std::any_of(computed_.begin(), computed_.end(), samples)) {
      team_.run([&](Worker& worker) noexcept {
        for (size_t i = worker.index(); i < computed_.size(); i += worker.count()) {
          finish_rows(*slots_[computed_[i]], result, samplers_[worker.index()]);
        }
      });
    } else {
      for (const SlotId id : computed_) finish_rows(*slots_[id], result, samplers_[0]);
    }
    size_t output = 0;
    for (const SlotId id : computed_) output += slots_[id]->n_rows;
    for (const PrefillPart& part : parts) {
      Prefix& prefix = *part.prefix;
      if (prefix.kv_.length() < prefix.n_tokens()) continue;
      prefix.logits_.assign(result.logits.row(output).begin(), result.logits.row(output).end());
      prefix.finite_ = result.argmax[output].finite;
      ++output;
      publish(prefix.kv_, prefix.window_);
    }
  }
  for (const SlotId id : stepped_) {
    Slot& slot = *slots_[id];
    results_.push_back({id, std::span(slot.tokens).first(slot.n_tokens), slot.chosen, slot.top, slot.finish, slot.n_proposed,
                        slot.n_accepted, slot.n_rows == 0 ? 0 : slot.n_accepted + 1});
    slot.n_proposed = 0;
  }
  return results_;
}

// From the logits of the slot's rows to tokens: the next after the newest, and after each proposed token that was chosen too.
void Engine::finish_rows(Slot& slot, const ForwardResult& result, Sampler& sampler) {
  const uint32_t length = slot.kv.length() - slot.n_rows;
  for (uint32_t i = 0; i < slot.n_rows && slot.finish == FinishReason::running; ++i) {
    const size_t output = slot.first_output + i;
    const auto logits = result.logits.rows() > 0 ? result.logits.row(output) : std::span<const float>();
    const uint32_t before = slot.n_tokens;
    choose(slot, logits, result.argmax[output], sampler, i);
    if (slot.n_tokens == before || i + 1 == slot.n_rows || slot.tokens[before] != slot.proposed[i]) break;
    if (slot.finish == FinishReason::running) ++slot.n_accepted;
  }
  slot.kv.truncate(length + 1 + slot.n_accepted);
}

// The text's next token from the logits after its last one.
void Engine::choose(Slot& slot, std::span<const float> logits, const Argmax& argmax, Sampler& sampler, uint32_t row) {
  const Request& request = slot.request;
  if (!argmax.finite) {
    slot.finish = FinishReason::nonfinite;
    return;
  }
  if (slot.n_generated == request.max_new_tokens) {  // only for max_new_tokens = 0
    slot.finish = FinishReason::length;
    return;
  }
  std::optional<int32_t> token = argmax.token;
  if (!request.sampling.is_plain_argmax()) token = sample(slot, logits, sampler, row);
  if (!token) {
    slot.finish = FinishReason::no_token;
    return;
  }
  if (request.n_logprobs > 0) report_logprobs(slot, logits, *token);
  slot.tokens[slot.n_tokens++] = *token;
  slot.window.text.push_back(*token);
  ++slot.n_generated;
  if (!request.ignore_eos && model_.is_eos(*token)) {
    slot.finish = FinishReason::eos;
  } else if (slot.n_generated == request.max_new_tokens) {
    slot.finish = FinishReason::length;
  }
}

std::optional<int32_t> Engine::sample(const Slot& slot, std::span<const float> logits, Sampler& sampler, uint32_t row) {
  const Request& request = slot.request;
  const TextSoFar text = {slot.window.text, slot.n_generated, model_.config().eos_token_ids};
  const auto index = static_cast<uint32_t>(slot.window.text.size());
  const PositionNoise noise(request.seed, request.sample, index);
  const bool rejection = slot.by_rejection && row < slot.n_proposed && !request.sampling.greedy;
  if (!rejection) return sampler.sample(logits, request.sampling, text, noise);
  const std::span<const Candidate> candidates = sampler.filter(logits, request.sampling, text);
  if (candidates.empty()) return std::nullopt;
  const int32_t proposed = slot.proposed[row];
  const TokenProbability certain = {proposed, 1.0};
  const std::span<const TokenProbability> draft = slot.drafts.empty() ? std::span(&certain, 1) : std::span(slot.drafts[row]);
  RejectionVerifier& verifier = verifiers_[static_cast<size_t>(&sampler - samplers_.data())];
  return verifier.verify(candidates, draft, proposed, draft_noise(request.seed, request.sample, index), noise).token;
}

void Engine::report_logprobs(Slot& slot, std::span<const float> logits, int32_t token) {
  const double total = log_sum_exp(logits);
  const auto logprob = [&](int32_t id) { return static_cast<float>(logits[static_cast<size_t>(id)] - total); };
  slot.chosen.push_back({token, logprob(token)});
  // Insertion into a sorted list: most tokens are below its end.
  const size_t begin = slot.top.size(), n = std::min<size_t>(slot.request.n_logprobs, logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    if (slot.top.size() - begin == n && logits[id] <= logits[static_cast<size_t>(slot.top.back().token)]) continue;
    if (slot.top.size() - begin == n) slot.top.pop_back();
    const auto place = std::find_if(slot.top.begin() + static_cast<std::ptrdiff_t>(begin), slot.top.end(), [&](const TokenLogprob& other) {
      return logits[static_cast<size_t>(other.token)] < logits[id];
    });
    slot.top.insert(place, {static_cast<int32_t>(id), 0});
  }
  for (size_t i = begin; i < slot.top.size(); ++i) slot.top[i].logprob = logprob(slot.top[i].token);
}

Engine::Suspended Engine::suspend(SlotId id) {
  GPT2_CHECK(id < slots_.size() && slots_[id] && slots_[id]->finish == FinishReason::running);
  Slot& slot = *slots_[id];
  publish(slot.kv, slot.window);
  Suspended suspended = {std::move(slot.window), std::move(slot.request), slot.n_generated};
  slots_[id].reset();
  return suspended;
}

void Engine::release(SlotId id) {
  GPT2_CHECK(id < slots_.size() && slots_[id]);
  publish(slots_[id]->kv, slots_[id]->window);
  slots_[id].reset();
}

std::vector<std::span<const unsigned char>> Engine::cached_blocks(std::span<const int32_t> tokens) {
  std::vector<std::span<const unsigned char>> blocks;
  for (const BlockId block : cache_.find(tokens)) blocks.emplace_back(pool_.data(block), pool_.layout().block_bytes());
  return blocks;
}

bool Engine::restore_blocks(std::span<const int32_t> tokens, const std::function<bool(std::span<unsigned char> block)>& fill) {
  GPT2_CHECK(options_.prefix_cache && tokens.size() % kBlockPositions == 0 && tokens.size() <= model_.config().n_ctx);
  KvSequence restored(pool_, model_.config().n_ctx);  // gives the blocks back at the end, the cache keeps its references
  if (!extend(restored, static_cast<uint32_t>(tokens.size()))) return false;
  for (const BlockId block : restored.block_ids()) {
    if (!fill({pool_.data(block), pool_.layout().block_bytes()})) return false;
  }
  cache_.publish(tokens, restored.block_ids());
  return true;
}

uint32_t Engine::free_slots() const noexcept {
  return static_cast<uint32_t>(std::count(slots_.begin(), slots_.end(), std::nullopt));
}

}  // namespace gpt2
