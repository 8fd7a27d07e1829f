// A small model that proposes tokens: for every sequence its own keys and values, brought up to the text whenever it is
// asked. It chooses as the target would: same filters, same noise. Knows nothing of costs and lengths.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/thread_team.h"
#include "src/engine/rejection.h"
#include "src/engine/sampler.h"
#include "src/model/forward.h"
#include "src/model/kv_cache.h"
#include "src/model/model.h"

namespace gpt2 {

// Returns what the draft's tokenizer does otherwise than the target's (rule_differences.h), which costs acceptance at
// most; empty if nothing. Throws Error (exit 3) with the first id whose text differs. Vocabularies may be padded to
// different sizes: ids without a token are never proposed.
std::string check_draft_tokenizer(const Model& target, const Model& draft);

// One sequence that wants a token more.
struct DraftRequest {
  uint32_t sequence = 0;                     // below max_sequences
  std::span<const int32_t> text;             // the sequence's tokens and what was drafted for it; not empty
  uint32_t n_generated = 0;                  // of them, for the processors
  uint64_t token_index = 0;                  // of the token to draft, for the noise
  uint64_t seed = 0;
  uint32_t sample = 0;
  const SamplingOptions* sampling = nullptr;
};

struct DraftToken {
  int32_t token = -1;  // -1: none; the options leave the draft nothing, or its logits are not finite
  double margin = 0;   // of the best score over the second best
};

class ModelDrafter {
 public:
  struct Options {
    const KernelTable* kernels = nullptr;
    ThreadTeam* team = nullptr;  // the target's: two teams would take the CPUs from each other
    uint32_t max_sequences = 1;
    KvType kv_type = KvType::f32;
    Verification verification = Verification::coupled;
  };
  // Both models and the team outlive the drafter. Throws as check_draft_tokenizer.
  ModelDrafter(const Model& target, const Model& draft, const Options& options);

  // Rows that a step for this text would compute, and whether it can: the draft has the positions and the tokens.
  uint32_t missing(uint32_t sequence, std::span<const int32_t> text) const noexcept;
  bool fits(std::span<const int32_t> text) const noexcept { return text.size() <= model_.config().n_ctx; }

  // A token each, in order; computes what the draft has not seen of the texts on the way. Texts fit. Valid until the
  // next call. Rejection: the token's distribution is appended to `distributions`, if that is not null, one entry per
  // request.
  std::span<const DraftToken> step(std::span<const DraftRequest> requests,
                                   std::span<std::vector<TokenProbability>* const> distributions = {});

  // Forgets what it has computed of every sequence.
  void forget_texts() noexcept;

  const Model& model() const noexcept { return model_; }

 private:
  struct Sequence {
    KvSequence kv;
    std::vector<int32_t> tokens;  // whose keys and values are in kv
  };

  size_t known(const Sequence& sequence, std::span<const int32_t> text) const noexcept;
  void compute(std::span<const DraftRequest> requests, std::span<std::vector<TokenProbability>* const> distributions);
  std::span<const float> target_logits(std::span<const float> logits);
  DraftToken choose(std::span<const float> logits, const DraftRequest& request,
                    std::vector<TokenProbability>* distribution);

  const Model& target_;
  const Model& model_;
  Options options_;
  uint32_t n_tokens_;  // ids below this may be proposed
  KvPool pool_;
  Workspace workspace_;
  Choices choices_;  // the target's
  Sampler sampler_;
  std::vector<float> logits_;  // [the target's n_vocab], where the draft's are arranged otherwise
  std::vector<Sequence> sequences_;
  std::vector<Row> rows_;
  std::vector<KvSequence*> row_sequences_;
  std::vector<size_t> waiting_;  // requests whose last row is in rows_, in order
  std::vector<DraftToken> tokens_;
};

}  // namespace gpt2
