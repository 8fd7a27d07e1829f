#include "src/engine/engine.h"

#include <algorithm>
#include <utility>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"

namespace gpt2 {
std::string_view Engine::nonfinite_reason() const noexcept {
  return pool_.overflowed() ? "logits are not finite: the f16 cache ends at 65504 and keys or values do not "
                              "(--kv-dtype f32 holds them), or the weights are damaged"
                            : "logits are not finite: the weights are damaged or unusable";
}

namespace {

size_t pool_blocks(const Config& config, const EngineOptions& options) {
  const size_t one = blocks_of(config.n_ctx);
  return options.kv_blocks > 0 ? std::max(options.kv_blocks, one + 1) : one * (options.max_slots + 1);
}

StepLimits limits_of(const Config& config, const EngineOptions& options) {
  return {options.max_slots, std::max(std::min(options.prefill_chunk, config.n_ctx), 1u), options.max_draft};
}

// What the row at a position is computed for: where the next token is known, to score that token or only for the row's
// keys and values.
Wants wants(const Sequence& sequence, const Choices& choices, uint32_t position) {
  const uint32_t next = position + 1;
  if (next < sequence.n_known())
    return next >= sequence.next_scored && next < sequence.n_prompt ? Wants::logits : Wants::nothing;
  const Request& request = sequence.request;
  const bool is_argmax = request.sampling.is_plain_argmax() && request.n_logprobs == 0;
  return is_argmax && choices.size() == choices.end() ? Wants::argmax : Wants::logits;  // it may be a hole
}

// Appends the log-probability of the token, and the `n` largest of the choices with their tokens.
void report_logprobs(std::span<const float> logits, const Choices& choices, int32_t token, size_t n,
                     std::vector<TokenLogprob>& chosen, std::vector<TokenLogprob>& top) {
  const double total = log_sum_exp(logits);
  chosen.push_back({token, static_cast<float>(logits[static_cast<size_t>(token)] - total)});
  const size_t begin = top.size();
  top.resize(begin + std::min<size_t>(n, choices.size()));
  most_likely(logits, choices, total, std::span(top).subspan(begin));
}

}  // namespace

Engine::Engine(const Model& model, const EngineOptions& options)
    : model_(model),
      options_(options),
      pool_(KvLayout(model.config(), options.kv_type), pool_blocks(model.config(), options)),
      cache_(pool_),
      team_(options.threads, options.team_use),
      workspace_(model.config(), limits_of(model.config(), options).rows(),
                 limits_of(model.config(), options).rows(), team_.size()),
      choices_(model),
      batch_(options.max_slots),
      outcomes_(options.max_slots) {
  GPT2_CHECK(options.kernels != nullptr && options.max_slots > 0 && options.prefill_chunk > 0 &&
             options.max_draft <= kMaxDraft);
  options_.threads = team_.size();
  samplers_.reserve(team_.size());
  for (uint32_t i = 0; i < team_.size(); ++i) {
    samplers_.emplace_back(model.config().n_vocab, choices_);
    verifiers_.emplace_back(model.config().n_vocab);
    scorers_.emplace_back(model.config().n_vocab, choices_);
  }
  rows_.reserve(workspace_.max_rows());
  row_sequences_.reserve(options.max_slots);
  whole_step_.reserve(options.max_slots);
  results_.reserve(options.max_slots);
}

StepLimits Engine::limits() const noexcept { return limits_of(model_.config(), options_); }

Sequence Engine::start(std::span<const int32_t> prompt, const Request& request) {
  const uint32_t n_ctx = model_.config().n_ctx;
  Request own = request;
  if (own.scores.first >= prompt.size()) own.scores = {};
  const uint32_t first = own.scores.first;
  GPT2_CHECK(!prompt.empty() && prompt.size() <= n_ctx + (own.only_scores() ? 1 : 0));
  GPT2_CHECK(request.n_logprobs <= kMaxLogprobs);
  GPT2_CHECK(!request.slide || (n_ctx > 1 && (request.slide_keep == 0 || request.slide_keep < n_ctx / 2)));
  return {std::move(own), {prompt.begin(), prompt.end()}, static_cast<uint32_t>(prompt.size()), 0,
          0,              KvSequence(pool_, n_ctx),       first > 0 ? first : Sequence::kNone};
}

Sequence Engine::prefill(Sequence sequence) {
  find_cached(sequence);
  const uint32_t end = sequence.first_wanted();
  while (sequence.n_computed() < end) {
    clear_rows();
    add_known_rows(sequence, std::min(limits().prompt_rows, end - sequence.n_computed()));
    compute();
  }
  publish(sequence);
  return sequence;
}

SlotId Engine::insert(Sequence sequence) {
  find_cached(sequence);
  return place(std::move(sequence));
}

SlotId Engine::fork(SlotId from, Sequence sequence) {
  sequence.kv = shared(*batch_[from], sequence);
  return place(std::move(sequence));
}

SlotId Engine::place(Sequence sequence) {
  const auto free = std::find_if(batch_.begin(), batch_.end(), [](const auto& slot) { return !slot; });
  GPT2_CHECK(free != batch_.end());
  sequence.tokens.reserve(std::max<size_t>(sequence.tokens.size(), model_.config().n_ctx) + kMaxDraft + 2);
  free->emplace(std::move(sequence));
  return static_cast<SlotId>(free - batch_.begin());
}

Sequence Engine::remove(SlotId slot) {
  GPT2_CHECK(slot < batch_.size() && batch_[slot]);
  publish(*batch_[slot]);
  Sequence sequence = std::move(*batch_[slot]);
  batch_[slot].reset();
  return sequence;
}

Sequence Engine::replace(SlotId slot, Sequence next) {
  next.kv = shared(*batch_[slot], next);
  next.tokens.reserve(batch_[slot]->tokens.capacity());
  publish(*batch_[slot]);
  std::swap(*batch_[slot], next);
  return next;
}

uint32_t Engine::draft_room(SlotId slot) const noexcept {
  const Sequence& sequence = *batch_[slot];
  if (sequence.n_generated() == 0) return 0;
  const uint32_t left = sequence.request.max_new_tokens - sequence.n_generated(),
                 positions = model_.config().n_ctx - sequence.n_known();
  return std::min({options_.max_draft, left - 1, positions});
}

// Whether so many blocks are free, now that the prefix cache has given up what it can.
bool Engine::make_room(size_t n_blocks) {
  while (pool_.free_blocks() < n_blocks && cache_.evict()) {
  }
  return pool_.free_blocks() >= n_blocks;
}

// The keys and values of the computed beginning that two texts have in common; whole blocks of it where no other is
// free.
KvSequence Engine::shared(const Sequence& from, const Sequence& with) {
  const uint32_t n = from.shared_with(with);
  return from.kv.fork(make_room(1) ? n : n - n % static_cast<uint32_t>(kBlockPositions));
}

void Engine::find_cached(Sequence& sequence) {
  if (!options_.prefix_cache || sequence.dropped > 0 || sequence.n_computed() > 0) return;
  sequence.kv.adopt(cache_.find(std::span(sequence.tokens).first(sequence.first_wanted())));
}

void Engine::publish(const Sequence& sequence) {
  if (!options_.prefix_cache || sequence.dropped > 0) return;
  const size_t whole = sequence.n_computed() / kBlockPositions;
  cache_.publish(std::span(sequence.tokens).first(whole * kBlockPositions), sequence.kv.block_ids().first(whole));
}

void Engine::clear_rows() {
  rows_.clear();
  row_sequences_.clear();
  n_outputs_ = 0;
}

// Returns how many of the rows score a token.
uint32_t Engine::add_known_rows(Sequence& sequence, uint32_t n_rows) {
  const uint32_t begin = sequence.n_computed(), end = begin + n_rows;
  GPT2_CHECK(n_rows > 0 && end <= sequence.n_rows());
  const bool extended = make_room(sequence.kv.blocks_to_extend(end)) && sequence.kv.extend(end);
  GPT2_CHECK(extended);
  const auto index = static_cast<uint32_t>(row_sequences_.size());
  row_sequences_.push_back(&sequence.kv);
  uint32_t n_scored = 0;
  for (uint32_t i = begin; i < end; ++i) {
    const Wants row = wants(sequence, choices_, i);
    rows_.push_back({index, i, sequence.token_at(i), row});
    n_scored += row != Wants::nothing && i + 1 < sequence.n_known();
  }
  return n_scored;
}

void Engine::add_rows(const StepRows& part, Outcome& outcome) {
  outcome.n_tokens = outcome.n_accepted = 0;
  outcome.chosen.clear();
  outcome.top.clear();
  outcome.finish = FinishReason::running;
  GPT2_CHECK(part.slot < batch_.size() && batch_[part.slot]);
  Sequence& sequence = *batch_[part.slot];
  outcome.n_scored = add_known_rows(sequence, part.n_rows);
  outcome.scores.resize(outcome.n_scored);
  const auto n_draft = static_cast<uint32_t>(part.draft.tokens.size());
  const bool at_end = sequence.n_computed() == sequence.n_known();
  GPT2_CHECK(n_draft == 0 || (at_end && n_draft <= options_.max_draft));
  outcome.first_output = n_outputs_;
  outcome.n_outputs = at_end ? 1 + n_draft : 0;
  n_outputs_ += outcome.n_scored + outcome.n_outputs;
  if (n_draft == 0) return;
  const uint32_t begin = sequence.n_computed(), end = begin + n_draft;
  const bool extended = make_room(sequence.kv.blocks_to_extend(end)) && sequence.kv.extend(end);
  GPT2_CHECK(extended);
  for (uint32_t i = begin; i < end; ++i) {
    rows_.push_back({rows_.back().sequence, i, part.draft.tokens[i - begin], wants(sequence, choices_, i)});
  }
}

ForwardResult Engine::compute() {
  return forward(model_.config(), model_.weights(), {rows_, row_sequences_}, workspace_, {*options_.kernels, team_});
}

std::span<const StepResult> Engine::generate() {
  whole_step_.clear();
  for (SlotId slot = 0; slot < batch_.size(); ++slot) {
    if (batch_[slot]) whole_step_.push_back({slot, batch_[slot]->n_rows() - batch_[slot]->n_computed()});
  }
  return generate(whole_step_);
}

std::span<const StepResult> Engine::generate(std::span<const StepRows> step) {
  clear_rows();
  results_.clear();
  GPT2_CHECK(step.size() <= outcomes_.size());
  for (size_t i = 0; i < step.size(); ++i) add_rows(step[i], outcomes_[i]);
  if (rows_.empty()) return results_;
  const ForwardResult result = compute();
  step_logits_ = result.logits;
  for (size_t i = 0; i < step.size(); ++i) take_scores(step[i], outcomes_[i], result);
  choose_all(step, result);
  for (size_t i = 0; i < step.size(); ++i) results_.push_back(close(step[i], outcomes_[i]));
  return results_;
}

// Only logits are work, and they are there if any row wants them.
void Engine::choose_all(std::span<const StepRows> step, const ForwardResult& result) {
  team_.run(n_outputs_ > 1 && result.logits.rows() > 0 ? result.n_threads : 1, [&](Worker& worker) noexcept {
    for (size_t i = 0; i < step.size(); ++i) score_rows(step[i], outcomes_[i], result, worker);
    for (size_t i = worker.index(); i < step.size(); i += worker.count())
      choose_tokens(step[i], outcomes_[i], result, worker.index());
  });
}

// Says which tokens the step has scored, and ends a text that is wholly scored or met a row that is not finite.
void Engine::take_scores(const StepRows& part, Outcome& outcome, const ForwardResult& result) {
  Sequence& sequence = *batch_[part.slot];
  const size_t n_top = std::min(sequence.request.n_logprobs, choices_.size());
  const auto rows = result.argmax.subspan(outcome.first_output, outcome.n_scored);
  const auto bad = std::find_if(rows.begin(), rows.end(), [](const Argmax& row) { return !row.finite; });
  const auto n = static_cast<uint32_t>(bad - rows.begin());
  outcome.scores.resize(n);
  outcome.score_top.resize(n * n_top);
  for (uint32_t i = 0; i < n; ++i) outcome.scores[i].index = sequence.next_scored + i;
  if (n > 0) sequence.next_scored += n;
  if (sequence.next_scored >= sequence.n_prompt) sequence.next_scored = Sequence::kNone;
  if (bad != rows.end()) {
    outcome.finish = FinishReason::nonfinite;
  } else if (sequence.request.only_scores() && sequence.n_computed() == sequence.n_rows()) {
    outcome.finish = FinishReason::length;
  }
}

// The rows go round.
void Engine::score_rows(const StepRows& part, Outcome& outcome, const ForwardResult& result, const Worker& worker) {
  const Sequence& sequence = *batch_[part.slot];
  const size_t n_top = outcome.scores.empty() ? 0 : outcome.score_top.size() / outcome.scores.size();
  for (size_t i = 0; i < outcome.scores.size(); ++i) {
    const size_t output = outcome.first_output + i;
    if (output % worker.count() != worker.index()) continue;
    TokenScore& score = outcome.scores[i];
    const uint32_t index = score.index;
    score = scorers_[worker.index()].score(result.logits.row(output), sequence.tokens[index], result.argmax[output],
                                           sequence.request.scores,
                                           std::span(outcome.score_top).subspan(i * n_top, n_top));
    score.index = index;
  }
}

// From the rows after which a token is not known to tokens: the next, and one more after each of the draft's that was
// chosen too.
void Engine::choose_tokens(const StepRows& part, Outcome& outcome, const ForwardResult& result, size_t worker) {
  Sequence& sequence = *batch_[part.slot];
  const uint32_t n_known = sequence.n_known();
  for (uint32_t i = 0; i < outcome.n_outputs && outcome.finish == FinishReason::running; ++i) {
    const size_t output = outcome.first_output + outcome.n_scored + i;
    const auto logits = result.logits.rows() > 0 ? result.logits.row(output) : std::span<const float>();
    choose_token(part, outcome, logits, result.argmax[output], worker);
    if (outcome.n_tokens == i || i + 1 == outcome.n_outputs || outcome.tokens[i] != part.draft.tokens[i]) break;
    if (outcome.finish == FinishReason::running) ++outcome.n_accepted;
  }
  if (outcome.n_outputs > 0) sequence.kv.truncate(n_known + outcome.n_accepted);
}

// Appends the text's next token, chosen from the logits after its last one.
void Engine::choose_token(const StepRows& part, Outcome& outcome, std::span<const float> logits, const Argmax& argmax,
                          size_t worker) {
  Sequence& sequence = *batch_[part.slot];
  const Request& request = sequence.request;
  std::optional<int32_t> token = argmax.token;
  const bool is_argmax = request.sampling.is_plain_argmax() && choices_.contains(argmax.token);
  if (!argmax.finite) {
    outcome.finish = FinishReason::nonfinite;
  } else if (sequence.n_generated() == request.max_new_tokens) {  // only for max_new_tokens = 0
    outcome.finish = FinishReason::length;
  } else if (!is_argmax && !(token = sample(part, outcome.n_tokens, logits, worker))) {
    outcome.finish = FinishReason::no_token;
  }
  if (outcome.finish != FinishReason::running) return;
  if (request.n_logprobs > 0)
    report_logprobs(logits, choices_, *token, request.n_logprobs, outcome.chosen, outcome.top);
  outcome.tokens[outcome.n_tokens++] = *token;
  sequence.tokens.push_back(*token);
  if (!request.ignore_eos && model_.is_eos(*token)) {
    outcome.finish = FinishReason::eos;
  } else if (sequence.n_generated() == request.max_new_tokens) {
    outcome.finish = FinishReason::length;
  }
}

// `row`: of those after which no token is known.
std::optional<int32_t> Engine::sample(const StepRows& part, uint32_t row, std::span<const float> logits,
                                      size_t worker) {
  const Sequence& sequence = *batch_[part.slot];
  const Request& request = sequence.request;
  const TextSoFar text = {sequence.tokens, sequence.n_generated(), model_.config().eos_token_ids};
  const uint64_t index = sequence.tokens.size();
  const PositionNoise noise(request.seed, request.sample, index);
  const Draft& draft = part.draft;
  const bool rejection =
      draft.verification == Verification::rejection && row < draft.tokens.size() && !request.sampling.greedy;
  if (!rejection) return samplers_[worker].sample(logits, request.sampling, text, noise);
  const std::span<const Candidate> candidates = samplers_[worker].filter(logits, request.sampling, text);
  if (candidates.empty()) return std::nullopt;
  const int32_t proposed = draft.tokens[row];
  const TokenProbability certain = {proposed, 1.0};
  const std::span<const TokenProbability> drawn_from =
      draft.distributions.empty() ? std::span(&certain, 1) : std::span(draft.distributions[row]);
  return verifiers_[worker]
      .verify(candidates, drawn_from, proposed, draft_noise(request.seed, request.sample, index), noise)
      .token;
}

StepResult Engine::close(const StepRows& part, Outcome& outcome) {
  Sequence& sequence = *batch_[part.slot];
  if (outcome.n_outputs > 0 && sequence.n_generated() == outcome.n_tokens) publish(sequence);  // the prompt is there
  if (outcome.finish == FinishReason::running && sequence.n_rows() > model_.config().n_ctx) {
    if (sequence.request.slide) {
      sequence.slide();
    } else {
      outcome.finish = FinishReason::context;
    }
  }
  return {part.slot, std::span(outcome.tokens).first(outcome.n_tokens), outcome.chosen, outcome.top,
          outcome.scores, outcome.score_top, outcome.first_output, outcome.finish,
          static_cast<uint32_t>(part.draft.tokens.size()), outcome.n_accepted};
}

std::vector<std::span<const unsigned char>> Engine::cached_blocks(std::span<const int32_t> tokens) {
  std::vector<std::span<const unsigned char>> blocks;
  for (const BlockId block : cache_.find(tokens)) blocks.emplace_back(pool_.data(block), pool_.layout().block_bytes());
  return blocks;
}

bool Engine::restore_blocks(std::span<const int32_t> tokens,
                            const std::function<bool(std::span<unsigned char> block)>& fill) {
  GPT2_CHECK(options_.prefix_cache && tokens.size() % kBlockPositions == 0 && tokens.size() <= model_.config().n_ctx);
  const auto n = static_cast<uint32_t>(tokens.size());
  // It gives the blocks back at the end; the cache keeps references of its own.
  KvSequence restored(pool_, model_.config().n_ctx);
  if (!make_room(restored.blocks_to_extend(n)) || !restored.extend(n)) return false;
  for (const BlockId block : restored.block_ids()) {
    if (!fill({pool_.data(block), pool_.layout().block_bytes()})) return false;
  }
  cache_.publish(tokens, restored.block_ids());
  return true;
}

}  // namespace gpt2
