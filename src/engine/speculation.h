// Speculation: before a step, tokens are proposed for each sequence by look-up in its text or by a draft model, as many
// as are worth it; after the step it learns what they cost and how many were accepted. The engine verifies them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/engine/draft_length.h"
#include "src/engine/lookup.h"
#include "src/engine/model_drafter.h"
#include "src/engine/sequence.h"

namespace gpt2 {

enum class DraftPolicy : uint8_t {
  off,
  // As many tokens as are expected to save time; by rejection, as many as the draft's confidence alone makes likely.
  automatic,
  force,      // as many as may be, whatever they cost
  sweep,      // 1, 2, .. max_draft tokens in turn, to measure costs and acceptance
};

struct SpeculationOptions {
  const Model* draft = nullptr;  // nullptr: no model
  bool lookup = false;
  uint32_t lookup_match = 2;     // the shortest match whose continuation is proposed
  uint32_t max_draft = kMaxDraft;
  DraftPolicy policy = DraftPolicy::automatic;
  Verification verification = Verification::coupled;

  bool wanted() const noexcept { return policy != DraftPolicy::off && (draft != nullptr || lookup); }
};

// A sequence whose next token is to be sampled by the coming step.
struct SpeculatedSequence {
  uint32_t slot = 0;               // below max_sequences; its state belongs to this number
  const Sequence* text = nullptr;
  uint32_t room = 0;               // tokens that may be proposed
};

struct SpeculationStats {
  uint64_t steps = 0, sequence_steps = 0, tokens = 0;
  std::array<uint64_t, 2> drafted{}, accepted{};                       // by DraftSource
  // By position; a token counts as proposed where those before it were accepted.
  std::array<uint64_t, kMaxDraft> proposed_at{}, accepted_at{};
  std::array<uint64_t, kMaxDraft + 1> lengths{};                       // sequence steps by tokens proposed
  double draft_seconds = 0, verify_seconds = 0;
  // What these tokens would have taken without speculation, by the costs.
  double plain_seconds = 0;
  // The same of the tokens that were expected, and their time.
  double predicted_plain_seconds = 0, predicted_seconds = 0;

  double predicted_speedup() const { return predicted_seconds > 0 ? predicted_plain_seconds / predicted_seconds : 1; }
  double measured_speedup() const {
    const double seconds = draft_seconds + verify_seconds;
    return seconds > 0 ? plain_seconds / seconds : 1;
  }
};

class Speculation {
 public:
  // `target`, the draft and the team, which is the target's, outlive it. Throws Error (exit 3) if the draft's tokenizer
  // is another.
  Speculation(const Model& target, const SpeculationOptions& options, const KernelTable& kernels, ThreadTeam& team,
              uint32_t max_sequences);

  // Proposes tokens for the coming step of these sequences, each in another slot.
  void propose(std::span<const SpeculatedSequence> sequences);
  // Returns what was proposed for the i-th of them. Valid until the next call.
  Draft draft(size_t i) const noexcept;

  // Learns how the step went: by sequence the number of tokens that it gave (0: it ended without one), the seconds of
  // the target's step, and the rows in it that are not these sequences'.
  void observe(std::span<const uint32_t> n_tokens, double verify_seconds, uint32_t other_rows);

  // Returns the rows of each of the draft's steps that the last proposals took.
  std::span<const uint32_t> draft_rows() const noexcept { return {draft_rows_.data(), n_draft_steps_}; }
  // Forgets the sequences, as if all were new; what was learned stays.
  void forget_texts() noexcept;

  const SpeculationStats& stats() const noexcept { return stats_; }
  const LengthPolicy& policy() const noexcept { return policy_; }
  const StepCosts& draft_costs() const noexcept { return draft_costs_; }

 private:
  struct Plan {
    DraftSource source = DraftSource::lookup;
    bool drafting = false;
    uint32_t length = 0, most = 0;
    double survival = 1, expected = 0;  // of the last token; tokens beyond the plain one
    double guess = 1;                   // of its survival, before anything was seen
    std::array<int32_t, kMaxDraft> tokens{};
    std::array<uint32_t, kMaxDraft> confidence{};
    std::array<double, kMaxDraft> survivals{};
    std::vector<int32_t> text;  // with what was drafted
    std::vector<std::vector<TokenProbability>> distributions;
  };

  void plan(const SpeculatedSequence& sequence, Plan& plan);
  bool plan_lookup(const SpeculatedSequence& sequence, Plan& plan, double least_gain);
  LengthAnswer model_answer(const SpeculatedSequence& sequence, const Plan& plan) const;
  void ask_model(std::span<const SpeculatedSequence> sequences);
  bool draft_step(std::span<const SpeculatedSequence> sequences);
  void accept_draft(Plan& plan, const DraftToken& token);
  void add(Plan& plan, int32_t token, uint32_t confidence);
  void trim(Plan& plan);
  double draft_seconds(uint32_t rows) const;
  bool measures() const noexcept { return options_.policy == DraftPolicy::automatic && !is_repeatable(); }
  // Returns whether lengths may depend on the text alone: by rejection they decide what the text is, and the same seed
  // has to repeat it.
  bool is_repeatable() const noexcept {
    return options_.policy == DraftPolicy::automatic && options_.verification == Verification::rejection;
  }

  const Model& target_;
  SpeculationOptions options_;
  double draft_size_;  // of the draft's weights in the target's: the guess of its cost before it is measured
  std::optional<ModelDrafter> drafter_;
  std::vector<SuffixLookup> lookups_;  // by slot
  std::vector<Plan> plans_;            // by place in the step
  size_t n_plans_ = 0;
  LengthPolicy policy_;
  // Acceptance before anything was observed.
  std::array<Acceptance, 2> guesses_ = {Acceptance(DraftSource::lookup), Acceptance(DraftSource::model)};
  StepCosts draft_costs_;
  uint32_t rows_ = 0;           // of the target's step as it is planned
  double step_draft_seconds_ = 0, expected_draft_seconds_ = 0;
  double debt_ = 0;             // seconds of catching up that are charged to later steps
  uint32_t sweep_ = 0;
  std::array<uint32_t, kMaxDraft> draft_rows_{};  // of the step's draft steps
  size_t n_draft_steps_ = 0;
  std::vector<DraftRequest> requests_;
  std::vector<size_t> requesters_;
  std::vector<std::vector<TokenProbability>*> wanted_;
  SpeculationStats stats_;
};

}  // namespace gpt2
