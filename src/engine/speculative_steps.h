// Around a step of the engine: proposals before it, lessons after it.
#pragma once

#include <span>
#include <vector>

#include "src/engine/engine.h"
#include "src/engine/speculation.h"

namespace gpt2 {

class SpeculativeSteps {
 public:
  // Both outlive it. The engine allows as many proposed tokens as the speculation makes.
  SpeculativeSteps(Engine& engine, Speculation& speculation);

  // For every slot that decodes in the coming step (after Engine::hold). `spare_blocks` may be taken beyond those that a token
  // each needs.
  void propose(size_t spare_blocks);
  // After the step: `seconds` that it took, and rows that it had beside those of the slots proposed for.
  void observe(std::span<const StepResult> results, double seconds, uint32_t other_rows);

  // Engine::generate() between the two.
  std::span<const StepResult> generate();

 private:
  Engine& engine_;
  Speculation& speculation_;
  std::vector<SpeculatedSequence> sequences_;
  std::vector<uint32_t> n_tokens_;
};

}  // namespace gpt2
