// The three verbs of the engine, and nothing else touches the model: prefill a prompt, insert it into the running batch,
// generate for every slot. Knows no terminal.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "src/base/error.h"
#include "src/base/thread_team.h"
#include "src/engine/draft_length.h"
#include "src/engine/prefix_cache.h"
#include "src/engine/rejection.h"
#include "src/engine/sampler.h"
#include "src/model/forward.h"
#include "src/model/kv_cache.h"
#include "src/model/model.h"

namespace gpt2 {

// Why a request ended.
enum class FinishReason : uint8_t {
  running,      // it has not
  eos,          // the model ended the text
  length,       // max_new_tokens were generated
  context,      // the model has no position left
  no_token,     // the request's options forbid every token
  nonfinite,    // a logit was NaN or infinite: Engine::nonfinite_reason() says why
};
std::string_view finish_reason_name(FinishReason reason);  // "eos", "length", "context", ...

struct EngineOptions {
  const KernelTable* kernels = nullptr;  // required
  uint32_t threads = 1;
  KvType kv_type = KvType::f32;
  uint32_t max_slots = 1;
  uint32_t prefill_chunk = 256;  // rows of prompts in one step; no bit depends on it
  uint32_t max_draft = 0;        // proposed tokens a slot and step, at most kMaxDraft
  size_t kv_blocks = 0;          // of the pool; 0: what max_slots and a prompt beside them can fill
  bool prefix_cache = false;     // keep the blocks of computed tokens for later prompts
};

inline constexpr uint32_t kMaxLogprobs = 20;

struct Request {
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint32_t sample = 0;            // index of this sample within its record
  uint32_t max_new_tokens = 256;
  bool ignore_eos = false;        // an end-of-text token is a token like any other
  bool slide = false;             // past the context: forget the oldest half instead of ending ...
  uint32_t slide_keep = 0;        // ... but for so many first tokens; less than half the context
  uint32_t n_logprobs = 0;        // most likely tokens to report with each token, at most kMaxLogprobs
};

// A text's tokens, and those of them that the model sees: the first `kept` and those from `kept + dropped` on.
struct TokenWindow {
  std::vector<int32_t> text;
  uint32_t kept = 0, dropped = 0;

  uint32_t size() const noexcept { return static_cast<uint32_t>(text.size()) - dropped; }
  int32_t operator[](uint32_t i) const noexcept { return text[i < kept ? i : i + dropped]; }
};

// A prompt on its way: its keys and values, and at the end the logits after its last token.
class Prefix {
 public:
  Prefix(Prefix&&) = default;
  Prefix& operator=(Prefix&&) = default;
  uint32_t n_tokens() const noexcept { return window_.size(); }
  uint32_t n_computed() const noexcept { return kv_.length(); }  // including those found in the cache
  uint32_t n_cached() const noexcept { return n_cached_; }
  bool complete() const noexcept { return n_computed() == n_tokens() && !logits_.empty(); }
  std::span<const float> logits() const noexcept { return logits_; }  // [n_vocab]; empty until it is complete
  // More blocks that it takes to have n tokens computed.
  size_t blocks_to_compute(uint32_t n) const noexcept { return kv_.blocks_to_extend(n); }
  // The same prompt for another sample: shares the blocks.
  Prefix fork() const;

 private:
  friend class Engine;
  Prefix(KvSequence kv, TokenWindow window) : kv_(std::move(kv)), window_(std::move(window)) {}
  KvSequence kv_;
  TokenWindow window_;
  std::vector<float> logits_;
  uint32_t n_cached_ = 0;
  bool finite_ = true;
};

// Rows of a prompt that a step computes: the next n_rows of its tokens.
struct PrefillPart {
  Prefix* prefix = nullptr;
  uint32_t n_rows = 0;
};

using SlotId = uint32_t;

struct TokenLogprob {
  int32_t token = -1;
  float logprob = 0;  // natural logarithm, of the model's softmax before any filter
};

// What one step did to one slot; the spans are valid until the next step.
struct StepResult {
  SlotId slot = 0;
  std::span<const int32_t> tokens;       // accepted ones of a draft and the next; none if the request ended without
  std::span<const TokenLogprob> chosen;  // of each token, where the request wants log-probabilities
  std::span<const TokenLogprob> top;     // n_logprobs for each token, most likely first
  FinishReason finish = FinishReason::running;
  uint32_t n_proposed = 0, n_accepted = 0;
  uint32_t n_computed = 0;               // rows that stay in the cache
};

class Engine {
 public:
  // `model` outlives the engine.
  Engine(const Model& model, const EngineOptions& options);

  // A prompt of 1 .. n_ctx tokens of which nothing is computed but what the prefix cache holds.
  Prefix start(TokenWindow window);
  // Computes all of 1 .. n_ctx tokens. Empty if `cancel` became true between two chunks.
  std::optional<Prefix> prefill(std::span<const int32_t> tokens, const std::atomic<bool>* cancel = nullptr);
  // A complete prefix takes a free slot, and its blocks are the slot's from here on. The last n_generated of its tokens were generated
  // for this request before.
  SlotId insert(Prefix prefix, const Request& request, uint32_t n_generated = 0);
  // Tokens that may come next in a slot, at most max_draft: the next step computes them beside its own and keeps those that the request
  // would have chosen too, so the text does not depend on them.
  void propose(SlotId slot, std::span<const int32_t> tokens);
  // The same by rejection: the tokens were drawn from these distributions of a draft, one each, or (none) looked up, and are accepted as
  // Leviathan et al. 2023 say; the distribution does not depend on them. The distributions outlive the step.
  void propose(SlotId slot, std::span<const int32_t> tokens, std::span<const std::vector<TokenProbability>> drafts);
  // The next step leaves this slot out.
  void hold(SlotId slot) {
    GPT2_CHECK(slots_[slot]);
    slots_[slot]->held = true;
  }
  // One step for every running slot, and for these parts of prompts in the same pass. Valid until the next call. Allocates nothing once
  // every kind of request has been seen. Requires blocks for all of it.
  std::span<const StepResult> generate(std::span<const PrefillPart> parts = {});
  // Takes a request out of its slot and gives its blocks back; start() and insert() with what is returned go on with it.
  struct Suspended {
    TokenWindow window;
    Request request;
    uint32_t n_generated = 0;
  };
  Suspended suspend(SlotId slot);
  // Frees a slot, finished or not.
  void release(SlotId slot);

  // Bytes of the whole blocks of `tokens` that the prefix cache holds, from the first on. Valid until anything is computed.
  std::vector<std::span<const unsigned char>> cached_blocks(std::span<const int32_t> tokens);
  // Puts blocks that were computed elsewhere into the prefix cache: `fill` writes the next of the tokens.size() / 64 blocks. False, and
  // nothing kept, if it says so or the pool has too few. Requires options().prefix_cache.
  bool restore_blocks(std::span<const int32_t> tokens, const std::function<bool(std::span<unsigned char> block)>& fill);

  uint32_t free_slots() const noexcept;
  // Blocks that are free, or that the prefix cache gives up on demand.
  size_t free_blocks() const noexcept { return pool_.free_blocks() + cache_.unused(); }
  // Makes so many blocks free for what comes next. Requires free_blocks() to be as many.
  void reserve_blocks(size_t n);
  // More blocks that it takes for a slot to hold n positions.
  // What to say of a text that ended as nonfinite: that keys or values outgrew an f16 cache, if one did, else that the weights are bad.
  std::string_view nonfinite_reason() const noexcept;
  size_t slot_blocks_to_extend(SlotId slot, uint32_t n) const noexcept { return slots_[slot]->kv.blocks_to_extend(n); }
  uint32_t slot_length(SlotId slot) const noexcept { return slots_[slot]->kv.length(); }
  const TokenWindow& slot_window(SlotId slot) const noexcept { return slots_[slot]->window; }
  // Whether the next step computes a row for this slot, whose newest token is known by now.
  bool is_decoding(SlotId slot) const noexcept;
  const Request& request(SlotId slot) const noexcept { return slots_[slot]->request; }
  uint32_t n_generated(SlotId slot) const noexcept { return slots_[slot]->n_generated; }
  // Most tokens that propose() may give this slot now.
  uint32_t room_for_draft(SlotId slot) const noexcept;

  const Model& model() const noexcept { return model_; }
  const EngineOptions& options() const noexcept { return options_; }
  const KvPool& pool() const noexcept { return pool_; }
  const PrefixCache& prefix_cache() const noexcept { return cache_; }

 private:
  struct Slot {
    explicit Slot(KvSequence sequence) : kv(std::move(sequence)) {}

    KvSequence kv;
    Request request;
    TokenWindow window;                // the prompt and what was generated
    std::vector<float> prefix_logits;  // of the prompt's last row; used by the first step
    bool prefix_finite = true;
    bool has_last = false;             // the window's last token is sampled and not yet computed
    uint32_t n_generated = 0;
    FinishReason finish = FinishReason::running;

    bool held = false;                 // left out of the next step
    std::array<int32_t, kMaxDraft> proposed = {};
    uint32_t n_proposed = 0;
    bool by_rejection = false;
    std::span<const std::vector<TokenProbability>> drafts;  // of the proposed tokens; empty: looked up
    // Of the running step:
    uint32_t first_output = 0, n_rows = 0;
    std::array<int32_t, kMaxDraft + 2> tokens = {};
    uint32_t n_tokens = 0, n_accepted = 0;
    std::vector<TokenLogprob> chosen, top;
  };

  // `row`: of the slot's rows in this step.
  void choose(Slot& slot, std::span<const float> logits, const Argmax& argmax, Sampler& sampler, uint32_t row);
  std::optional<int32_t> sample(const Slot& slot, std::span<const float> logits, Sampler& sampler, uint32_t row);
  void report_logprobs(Slot& slot, std::span<const float> logits, int32_t token);
  void begin_step(Slot& slot);
  void add_rows(Slot& slot);
  void add_prompt_rows(const PrefillPart& part);
  void finish_rows(Slot& slot, const ForwardResult& result, Sampler& sampler);
  void slide(Slot& slot);
  void publish(const KvSequence& kv, const TokenWindow& window);
  bool extend(KvSequence& kv, uint32_t n);
  ForwardResult compute();

  const Model& model_;
  EngineOptions options_;
  KvPool pool_;
  PrefixCache cache_;
  ThreadTeam team_;
  Workspace workspace_;
  std::vector<Sampler> samplers_;  // one a thread
  std::vector<RejectionVerifier> verifiers_;
  std::vector<std::optional<Slot>> slots_;
  std::vector<Row> rows_;
  std::vector<KvSequence*> sequences_;
  uint32_t n_outputs_ = 0;
  std::vector<SlotId> stepped_, computed_;
  std::vector<StepResult> results_;
};

}  // namespace gpt2
