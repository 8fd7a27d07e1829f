// The three verbs of the engine, and nothing else touches the model: prefill a prompt, insert it into the running batch,
// generate one token for every slot. Knows no terminal.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "src/base/thread_team.h"
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
  nonfinite,    // a logit was NaN or infinite: the model file is unusable
};
std::string_view finish_reason_name(FinishReason reason);  // "eos", "length", "context", ...

struct EngineOptions {
  const KernelTable* kernels = nullptr;  // required
  uint32_t threads = 1;
  KvType kv_type = KvType::f32;
  uint32_t max_slots = 1;
  uint32_t prefill_chunk = 256;  // rows of one step of a prefill; no bit depends on it
};

struct Request {
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint32_t sample = 0;            // index of this sample within its record
  uint32_t max_new_tokens = 256;
  bool ignore_eos = false;        // an end-of-text token is a token like any other
};

// A computed prompt: its keys and values, and the logits after its last token.
class Prefix {
 public:
  Prefix(Prefix&&) = default;
  uint32_t n_tokens() const noexcept { return kv_.length(); }
  std::span<const float> logits() const noexcept { return logits_; }  // [n_vocab]

 private:
  friend class Engine;
  explicit Prefix(KvSequence kv) : kv_(std::move(kv)) {}
  KvSequence kv_;
  std::vector<int32_t> tokens_;
  std::vector<float> logits_;
  bool finite_ = true;
};

using SlotId = uint32_t;

// What one step did to one slot.
struct StepResult {
  SlotId slot = 0;
  std::optional<int32_t> token;  // none if the request ended without one (context, no_token, nonfinite)
  FinishReason finish = FinishReason::running;
};

class Engine {
 public:
  // `model` outlives the engine.
  Engine(const Model& model, const EngineOptions& options);

  // Computes 1 .. n_ctx tokens. Empty if `cancel` became true between two chunks.
  std::optional<Prefix> prefill(std::span<const int32_t> tokens, const std::atomic<bool>* cancel = nullptr);
  // Requires a free slot. The prefix's blocks are the slot's from here on.
  SlotId insert(Prefix prefix, const Request& request);
  // One step for every slot that is running: one token each. Valid until the next call. Allocates nothing.
  std::span<const StepResult> generate();
  // Cuts a slot back to its prompt, from where another sample of the same request begins. Computes nothing.
  void restart(SlotId slot, uint32_t sample);
  // Frees a slot, finished or not.
  void release(SlotId slot);

  uint32_t free_slots() const noexcept;
  const Model& model() const noexcept { return model_; }

 private:
  struct Slot {
    KvSequence kv;
    Request request;
    std::vector<int32_t> tokens;       // the prompt and what was generated
    std::vector<float> prefix_logits;  // of the prompt's last row; used by the first step
    bool prefix_finite = true;
    int32_t last_token = -1;           // sampled, not yet computed; -1 before the first step
    uint32_t n_generated = 0;
    FinishReason finish = FinishReason::running;
  };

  StepResult advance(SlotId id, std::span<const float> logits, const Argmax& argmax);

  const Model& model_;
  EngineOptions options_;
  KvPool pool_;
  ThreadTeam team_;
  Workspace workspace_;
  Sampler sampler_;
  std::vector<std::optional<Slot>> slots_;
  std::vector<Row> rows_;
  std::vector<KvSequence*> sequences_;
  std::vector<SlotId> stepped_;
  std::vector<StepResult> results_;
};

}  // namespace gpt2
