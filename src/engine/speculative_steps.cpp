#include "src/engine/speculative_steps.h"

#include <algorithm>

#include "src/base/clock.h"

namespace gpt2 {

SpeculativeSteps::SpeculativeSteps(Engine& engine, Speculation& speculation) : engine_(engine), speculation_(speculation) {
  sequences_.reserve(engine.options().max_slots);
  n_tokens_.reserve(engine.options().max_slots);
}

void SpeculativeSteps::propose(size_t spare_blocks) {
  sequences_.clear();
  for (SlotId slot = 0; slot < engine_.options().max_slots; ++slot) {
    if (!engine_.is_decoding(slot)) continue;
    const Request& request = engine_.request(slot);
    const std::span<const int32_t> text = engine_.slot_window(slot).text;
    uint32_t room = engine_.room_for_draft(slot);
    const uint32_t plain = engine_.slot_length(slot) + 1;
    while (room > 0) {
      const size_t more = engine_.slot_blocks_to_extend(slot, plain + room) - engine_.slot_blocks_to_extend(slot, plain);
      if (more <= spare_blocks) {
        spare_blocks -= more;
        break;
      }
      --room;
    }
    sequences_.push_back({slot, text, engine_.n_generated(slot), text.size(), request.seed, request.sample, &request.sampling,
                          room, request.max_new_tokens - engine_.n_generated(slot)});
  }
  speculation_.propose(sequences_);
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const std::span<const int32_t> tokens = speculation_.tokens(i);
    if (tokens.empty()) continue;
    if (speculation_.verification() == Verification::rejection) {
      engine_.propose(sequences_[i].slot, tokens, speculation_.distributions(i));
    } else {
      engine_.propose(sequences_[i].slot, tokens);
    }
  }
}

void SpeculativeSteps::observe(std::span<const StepResult> results, double seconds, uint32_t other_rows) {
  n_tokens_.assign(sequences_.size(), 0);
  for (const StepResult& result : results) {
    const auto same = [&](const SpeculatedSequence& sequence) { return sequence.slot == result.slot; };
    const auto found = std::find_if(sequences_.begin(), sequences_.end(), same);
    if (found == sequences_.end()) {
      other_rows += result.n_computed;
    } else {
      n_tokens_[static_cast<size_t>(found - sequences_.begin())] = static_cast<uint32_t>(result.tokens.size());
    }
  }
  speculation_.observe(n_tokens_, seconds, other_rows);
}

std::span<const StepResult> SpeculativeSteps::generate() {
  propose(engine_.free_blocks());
  const double start = now_seconds();
  const std::span<const StepResult> results = engine_.generate();
  observe(results, now_seconds() - start, 0);
  return results;
}

}  // namespace gpt2
