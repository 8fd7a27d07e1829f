#include "src/engine/speculation.h"

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint32_t kLookupTokens = 1u << 16;  // remembered of a text
// Catching up with more rows than this is paid for by this many steps, or by those that are left.
constexpr uint32_t kOwnRows = 3;
constexpr double kInstalments = 32;
// Where lengths may depend on the text alone, another token follows one that survives this often.
constexpr double kLikely = 0.4;

// Of the matrices that a step reads.
double n_bytes(const Model& model) {
  double bytes = 0;
  const bool tied = model.weights().lm_head.data == model.weights().wte.data;
  for (const StoredTensor& tensor : model.file().tensors) {
    if (!tied && tensor.spec.name == "wte.weight") continue;
    if (is_packed(tensor.spec.arrangement)) bytes += static_cast<double>(tensor.data.size());
  }
  return bytes;
}

}  // namespace

Speculation::Speculation(const Model& target, const SpeculationOptions& options, const KernelTable& kernels,
                         ThreadTeam& team, uint32_t max_sequences)
    : target_(target),
      options_(options),
      draft_size_(options.draft != nullptr ? n_bytes(*options.draft) / n_bytes(target) : 0) {
  GPT2_CHECK(options.max_draft <= kMaxDraft && options.lookup_match >= 1 && max_sequences > 0);
  if (options.draft != nullptr) {
    const KvType kv_type = default_kv_type(options.draft->weights());
    drafter_.emplace(target, *options.draft,
                     ModelDrafter::Options{&kernels, &team, max_sequences, kv_type, options.verification});
  }
  if (options.lookup) {
    for (uint32_t i = 0; i < max_sequences; ++i)
      lookups_.emplace_back(std::min(target.config().n_ctx + 1, kLookupTokens));
  }
  plans_.resize(max_sequences);
  for (Plan& plan : plans_) {
    plan.text.reserve(options.draft != nullptr ? size_t{options.draft->config().n_ctx} + 1 : 0);
    plan.distributions.resize(options.verification == Verification::rejection ? kMaxDraft : 0);
  }
  requests_.reserve(max_sequences);
  requesters_.reserve(max_sequences);
  wanted_.reserve(max_sequences);
}

Draft Speculation::draft(size_t i) const noexcept {
  const Plan& plan = plans_[i];
  const bool drawn = plan.source == DraftSource::model && !plan.distributions.empty();
  return {std::span(plan.tokens).first(plan.length), options_.verification,
          drawn ? std::span(plan.distributions).first(plan.length) : std::span<const std::vector<TokenProbability>>()};
}

void Speculation::forget_texts() noexcept {
  if (drafter_) drafter_->forget_texts();
  for (SuffixLookup& lookup : lookups_) lookup.follow({});
}

// One row of the draft for each of `rows` sequences.
double Speculation::draft_seconds(uint32_t rows) const {
  if (draft_costs_.known()) return draft_costs_.of(rows);
  return policy_.target().known() ? draft_size_ * policy_.target().of(rows) : 0;
}

void Speculation::propose(std::span<const SpeculatedSequence> sequences) {
  GPT2_CHECK(sequences.size() <= plans_.size());
  n_plans_ = sequences.size();
  rows_ = static_cast<uint32_t>(n_plans_);
  n_draft_steps_ = 0;
  step_draft_seconds_ = expected_draft_seconds_ = 0;
  if (options_.policy == DraftPolicy::sweep && n_plans_ > 0) sweep_ = sweep_ % options_.max_draft + 1;
  for (size_t i = 0; i < n_plans_; ++i) plan(sequences[i], plans_[i]);
  if (drafter_) ask_model(sequences);
}

// Decides between look-up, draft model and nothing; a look-up's tokens are proposed at once.
void Speculation::plan(const SpeculatedSequence& sequence, Plan& plan) {
  plan.length = 0;
  plan.drafting = false;
  plan.survival = plan.guess = 1;
  plan.expected = 0;
  const uint32_t most = options_.policy == DraftPolicy::sweep ? sweep_ : options_.max_draft;
  plan.most = options_.policy == DraftPolicy::off ? 0 : std::min(most, sequence.room);
  if (plan.most == 0) return;
  const bool can_draft = drafter_ && drafter_->fits(sequence.text->tokens);
  const LengthAnswer model = can_draft ? model_answer(sequence, plan) : LengthAnswer{};
  if (options_.lookup && plan_lookup(sequence, plan, model.gain)) return;
  if (!can_draft || (measures() && model.more == 0)) return;
  plan.source = DraftSource::model;
  plan.drafting = true;
  plan.text.assign(sequence.text->tokens.begin(), sequence.text->tokens.end());
}

bool Speculation::plan_lookup(const SpeculatedSequence& sequence, Plan& plan, double least_gain) {
  SuffixLookup& lookup = lookups_[sequence.slot];
  lookup.follow(sequence.text->tokens);
  const uint32_t match = lookup.match_length();
  if (match < options_.lookup_match) return false;
  uint32_t length = plan.most;
  if (measures()) {
    const LengthAnswer answer =
        policy_.lookup_length({0, plan.most, 1, rows_, 0, 0}, match, static_cast<uint32_t>(n_plans_));
    if (answer.more == 0 || answer.gain < least_gain) return false;
    length = answer.more;
  }
  plan.source = DraftSource::lookup;
  std::array<int32_t, kMaxDraft> tokens;
  lookup.continuation(std::span(tokens).first(length));
  for (uint32_t i = 0; i < length && (!is_repeatable() || plan.guess >= kLikely); ++i)
    add(plan, tokens[i], lookup_confidence(match + i));
  return true;
}

LengthAnswer Speculation::model_answer(const SpeculatedSequence& sequence, const Plan& plan) const {
  if (!measures() || !policy_.ready()) return {};
  const auto n = static_cast<uint32_t>(n_plans_);
  LengthQuestion question = {0, plan.most, 1, rows_, draft_seconds(n) / n, 0};
  const uint32_t missing = drafter_->missing(sequence.slot, sequence.text->tokens);
  if (missing > 1) {
    const double seconds = draft_seconds(missing) - draft_seconds(1);
    const uint32_t remaining = sequence.text->request.max_new_tokens - sequence.text->n_generated();
    question.start_seconds = missing <= kOwnRows ? seconds : seconds / std::clamp(remaining / 2.0, 1.0, kInstalments);
  }
  return policy_.model_length(question, n);
}

void Speculation::ask_model(std::span<const SpeculatedSequence> sequences) {
  while (draft_step(sequences)) {
  }
  for (size_t i = 0; i < n_plans_; ++i) {
    if (plans_[i].length > 0 && plans_[i].source == DraftSource::model) trim(plans_[i]);
  }
}

// One token for every sequence that wants another; false if none did.
bool Speculation::draft_step(std::span<const SpeculatedSequence> sequences) {
  requests_.clear();
  requesters_.clear();
  wanted_.clear();
  uint32_t rows = 0;
  for (size_t i = 0; i < n_plans_; ++i) {
    Plan& plan = plans_[i];
    if (!plan.drafting) continue;
    const Sequence& sequence = *sequences[i].text;
    const Request& request = sequence.request;
    rows += drafter_->missing(sequences[i].slot, plan.text);
    requests_.push_back({sequences[i].slot, plan.text, sequence.n_generated() + plan.length,
                         sequence.tokens.size() + plan.length, request.seed, request.sample, &request.sampling});
    requesters_.push_back(i);
    if (plan.distributions.empty()) continue;
    plan.distributions[plan.length].clear();
    wanted_.push_back(&plan.distributions[plan.length]);
  }
  if (requests_.empty()) return false;
  const auto n = static_cast<uint32_t>(requests_.size());
  const double start = now_seconds();
  const std::span<const DraftToken> tokens = drafter_->step(requests_, wanted_);
  const double seconds = now_seconds() - start;
  draft_costs_.observe(std::min(rows, 512u), seconds);
  draft_rows_[n_draft_steps_++] = rows;
  stats_.draft_seconds += seconds;
  expected_draft_seconds_ += draft_seconds(n);
  if (rows > kOwnRows * n) {
    const double own = std::min(seconds, draft_seconds(n));
    debt_ += seconds - own;
    step_draft_seconds_ += own;
  } else {
    step_draft_seconds_ += seconds;
  }
  for (size_t r = 0; r < tokens.size(); ++r) accept_draft(plans_[requesters_[r]], tokens[r]);
  return true;
}

// Takes a drafted token into the plan, and decides whether another is worth its cost.
void Speculation::accept_draft(Plan& plan, const DraftToken& token) {
  plan.drafting = false;
  if (token.token < 0) return;
  add(plan, token.token, model_confidence(token.margin));
  if (plan.length >= plan.most || target_.is_eos(token.token)) return;
  plan.text.push_back(token.token);
  if (!drafter_->fits(plan.text)) return;
  if (!measures()) {
    plan.drafting = !is_repeatable() || plan.guess >= kLikely;
    return;
  }
  const auto n = static_cast<uint32_t>(requests_.size());
  const LengthQuestion question = {plan.length, plan.most, plan.survival, rows_, draft_seconds(n) / n, 0};
  plan.drafting = policy_.model_length(question, static_cast<uint32_t>(n_plans_)).more > 0;
}

void Speculation::add(Plan& plan, int32_t token, uint32_t confidence) {
  const uint32_t at = plan.length++;
  plan.tokens[at] = token;
  plan.confidence[at] = confidence;
  plan.survival *= policy_.acceptance(plan.source).rate(at, confidence);
  plan.guess *= guesses_[static_cast<size_t>(plan.source)].rate(at, confidence);
  plan.survivals[at] = plan.survival;
  plan.expected += plan.survival;
  ++rows_;
}

// The last tokens may have turned out too unlikely to be worth their rows.
void Speculation::trim(Plan& plan) {
  if (!measures()) return;
  while (plan.length > 0) {
    const double survival = plan.survivals[plan.length - 1];
    if (policy_.is_worth_a_row(survival, rows_, static_cast<uint32_t>(n_plans_))) return;
    --plan.length;
    --rows_;
    plan.expected -= survival;
  }
}

void Speculation::observe(std::span<const uint32_t> n_tokens, double verify_seconds, uint32_t other_rows) {
  GPT2_CHECK(n_tokens.size() == n_plans_);
  if (n_plans_ == 0) return;
  uint32_t total = 0;
  double expected = 0;
  for (size_t i = 0; i < n_plans_; ++i) {
    const Plan& plan = plans_[i];
    const uint32_t accepted = std::min(n_tokens[i] > 0 ? n_tokens[i] - 1 : 0, plan.length);
    total += n_tokens[i];
    expected += 1 + plan.expected;
    stats_.drafted[static_cast<size_t>(plan.source)] += plan.length;
    stats_.accepted[static_cast<size_t>(plan.source)] += accepted;
    ++stats_.lengths[plan.length];
    for (uint32_t at = 0; at < std::min(accepted + 1, plan.length); ++at) {
      policy_.observe_token(plan.source, at, plan.confidence[at], at < accepted);
      ++stats_.proposed_at[at];
      stats_.accepted_at[at] += at < accepted ? 1 : 0;
    }
  }
  stats_.tokens += total;
  if (other_rows > 0) return;  // what these rows cost cannot be told from it
  const auto n = static_cast<uint32_t>(n_plans_);
  const double plain = policy_.target().known() ? policy_.target().of(n) : verify_seconds;
  if (policy_.target().known()) {
    stats_.predicted_plain_seconds += plain * expected / n;
    stats_.predicted_seconds += policy_.target().of(rows_) + expected_draft_seconds_;
    stats_.plain_seconds += plain * total / n;
  }
  const double instalment = debt_ / kInstalments;
  debt_ -= instalment;
  policy_.finish_step({n, rows_, total, step_draft_seconds_ + instalment, verify_seconds});
  ++stats_.steps;
  stats_.sequence_steps += n;
  stats_.verify_seconds += verify_seconds;
}

}  // namespace gpt2
