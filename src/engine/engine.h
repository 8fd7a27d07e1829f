// The engine has three verbs, and nothing else touches the model: prefill a text, insert it into the running batch,
// generate for the whole batch. State goes in and comes out as a Sequence. A text's own tokens are scored on the way,
// as their rows are computed, where its request wants it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "src/base/thread_team.h"
#include "src/engine/draft_length.h"
#include "src/engine/prefix_cache.h"
#include "src/engine/rejection.h"
#include "src/engine/score.h"
#include "src/engine/sequence.h"
#include "src/model/forward.h"
#include "src/model/model.h"

namespace gpt2 {

struct EngineOptions {
  const KernelTable* kernels = nullptr;  // required
  uint32_t threads = 1;
  TeamUse team_use = TeamUse::all;
  KvType kv_type = KvType::f32;
  uint32_t max_slots = 1;
  uint32_t prefill_chunk = 256;  // rows of prompts in one step; no bit depends on it
  uint32_t max_draft = 0;        // proposed tokens a slot and step, at most kMaxDraft
  // Blocks of the pool, at least a context's and one; 0: what max_slots and a prompt beside them can fill.
  size_t kv_blocks = 0;
  bool prefix_cache = false;     // keep the blocks of computed tokens for later prompts
};

// The most that one step computes. Whoever plans steps keeps to it, and the engine's buffers have this size.
struct StepLimits {
  uint32_t sequences = 1;
  uint32_t prompt_rows = 1;  // of all texts that have more than one token to compute
  uint32_t draft_rows = 0;   // of each of the others, beside the one of its newest token
  uint32_t rows() const noexcept { return prompt_rows + outputs(); }
  uint32_t outputs() const noexcept { return sequences * (1 + draft_rows); }  // that say which token comes next
};

using SlotId = uint32_t;  // a sequence's place in the batch

// Rows of one sequence in a step: its next n_rows tokens and, behind its last one, those of a draft. The row of the
// last known token and those of the draft say which token comes next; those before it score what is known.
struct StepRows {
  SlotId slot = 0;
  uint32_t n_rows = 1;
  Draft draft = {};
};

// What a step did to one sequence; the spans are valid until the next step.
struct StepResult {
  SlotId slot = 0;
  // The accepted tokens of the draft and the next one; none if the last known token had no row.
  std::span<const int32_t> tokens;
  std::span<const TokenLogprob> chosen;  // of each token, where the request wants log-probabilities
  std::span<const TokenLogprob> top;     // n_logprobs for each token, most likely first
  std::span<const TokenScore> scores;    // of the text's own tokens, ascending, each once
  std::span<const TokenLogprob> score_top;  // n_logprobs for each of them
  uint32_t score_row = 0;                // of step_logits(), from which the first of them was scored
  FinishReason finish = FinishReason::running;
  uint32_t n_proposed = 0, n_accepted = 0;
};

class Engine {
 public:
  // `model` outlives the engine.
  Engine(const Model& model, const EngineOptions& options);

  // Returns a text of 1 .. n_ctx tokens of which nothing is computed; of 2 .. n_ctx + 1 if it is only scored.
  Sequence start(std::span<const int32_t> prompt, const Request& request = {});
  // Returns the text with the tokens computed before the first whose row is wanted: all but the last where nothing is
  // scored. What the prefix cache holds is not computed again.
  Sequence prefill(Sequence sequence);
  // Gives the text a free slot of the batch and returns it. A text of which nothing is computed begins with what the
  // prefix cache holds.
  SlotId insert(Sequence sequence);
  // Inserts a text that shares the computed beginning that it has in common with the one in slot `from`.
  SlotId fork(SlotId from, Sequence sequence);
  // Computes the rows, each part in another slot, and returns what became of each sequence, valid until the next call.
  // A text whose context is full has then ended or slid. Requires free blocks for all rows (GPT2_CHECK). Allocates
  // nothing once every kind of request has been seen.
  std::span<const StepResult> generate(std::span<const StepRows> step);
  // Computes all tokens of the batch that are known and not computed.
  std::span<const StepResult> generate();
  // Returns the logits of the last step's rows that wanted them, in the order of the step, a text's scored rows before
  // those that choose: valid until the next step.
  MatrixView<const float> step_logits() const noexcept { return step_logits_; }
  // Takes a text out of the batch, finished or not; the prefix cache keeps its whole blocks.
  Sequence remove(SlotId slot);
  // Removes a text and puts `next` into its slot, with the computed beginning that they have in common.
  Sequence replace(SlotId slot, Sequence next);

  const Sequence& sequence(SlotId slot) const noexcept { return *batch_[slot]; }
  // Returns how many tokens of a draft may be computed behind the last known one; 0 before the text's first own token.
  uint32_t draft_room(SlotId slot) const noexcept;
  // Returns the blocks that are free or that the prefix cache gives up on demand.
  size_t available_blocks() const noexcept { return pool_.free_blocks() + cache_.unused(); }
  StepLimits limits() const noexcept;

  // Returns the bytes of the whole blocks of `tokens` that the prefix cache holds, from the first on. They are valid
  // until anything is computed.
  std::vector<std::span<const unsigned char>> cached_blocks(std::span<const int32_t> tokens);
  // Puts blocks that were computed elsewhere into the prefix cache: `fill` writes the next of the tokens.size() / 64
  // blocks. Returns false and keeps nothing if `fill` does or the pool has too few. Requires options().prefix_cache.
  bool restore_blocks(std::span<const int32_t> tokens, const std::function<bool(std::span<unsigned char> block)>& fill);

  // Returns why a text ended as nonfinite: keys or values outgrew an f16 cache, or else the weights are damaged.
  std::string_view nonfinite_reason() const noexcept;

  const Model& model() const noexcept { return model_; }
  const EngineOptions& options() const noexcept { return options_; }
  const KvPool& pool() const noexcept { return pool_; }
  ThreadTeam& team() noexcept { return team_; }
  const PrefixCache& prefix_cache() const noexcept { return cache_; }

 private:
  // What the running step makes of one sequence.
  struct Outcome {
    uint32_t first_output = 0, n_scored = 0, n_outputs = 0;  // scored rows stand before those that choose
    std::array<int32_t, kMaxDraft + 1> tokens = {};
    uint32_t n_tokens = 0, n_accepted = 0;
    std::vector<TokenLogprob> chosen, top;
    std::vector<TokenScore> scores;
    std::vector<TokenLogprob> score_top;
    FinishReason finish = FinishReason::running;
  };

  bool make_room(size_t n_blocks);
  KvSequence shared(const Sequence& from, const Sequence& with);
  SlotId place(Sequence sequence);
  void find_cached(Sequence& sequence);
  void publish(const Sequence& sequence);
  void clear_rows();
  uint32_t add_known_rows(Sequence& sequence, uint32_t n_rows);
  void add_rows(const StepRows& part, Outcome& outcome);
  ForwardResult compute();
  void choose_all(std::span<const StepRows> step, const ForwardResult& result);
  void take_scores(const StepRows& part, Outcome& outcome, const ForwardResult& result);
  void score_rows(const StepRows& part, Outcome& outcome, const ForwardResult& result, const Worker& worker);
  void choose_tokens(const StepRows& part, Outcome& outcome, const ForwardResult& result, size_t worker);
  void choose_token(const StepRows& part, Outcome& outcome, std::span<const float> logits, const Argmax& argmax,
                    size_t worker);
  std::optional<int32_t> sample(const StepRows& part, uint32_t row, std::span<const float> logits, size_t worker);
  StepResult close(const StepRows& part, Outcome& outcome);

  const Model& model_;
  EngineOptions options_;
  KvPool pool_;
  PrefixCache cache_;
  ThreadTeam team_;
  Workspace workspace_;
  Choices choices_;
  std::vector<Sampler> samplers_;  // one a thread
  std::vector<RejectionVerifier> verifiers_;
  std::vector<Scorer> scorers_;
  std::vector<std::optional<Sequence>> batch_;
  std::vector<StepRows> whole_step_;
  std::vector<Outcome> outcomes_;  // by part of the step
  std::vector<Row> rows_;
  std::vector<KvSequence*> row_sequences_;
  uint32_t n_outputs_ = 0;
  MatrixView<const float> step_logits_;
  std::vector<StepResult> results_;
};

}  // namespace gpt2
