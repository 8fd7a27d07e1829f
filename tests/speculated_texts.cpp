#include "tests/speculated_texts.h"

#include <optional>

#include "tests/kernel_cases.h"

namespace gpt2::test {

SamplingOptions greedy() {
  SamplingOptions options;
  options.greedy = true;
  return options;
}

SamplingOptions warm(float temperature, uint32_t top_k, float top_p) {
  SamplingOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  return options;
}

std::vector<Tokens> texts(const Model& target, const std::vector<SpecCase>& cases, uint32_t threads, uint32_t batch,
                          const SpeculationOptions* options, SpeculationStats* stats) {
  EngineOptions engine_options;
  engine_options.kernels = runnable_kernels().tables[0];
  engine_options.threads = threads;
  engine_options.max_slots = batch;
  engine_options.max_draft = options != nullptr ? options->max_draft : 0;
  Engine engine(target, engine_options);
  std::optional<Speculation> speculation;
  std::optional<SpeculativeSteps> steps;
  if (options != nullptr) {
    speculation.emplace(target, *options, *engine_options.kernels, engine.team(), batch);
    steps.emplace(engine, *speculation);
  }
  std::vector<Tokens> out(cases.size());
  std::vector<size_t> in_slot(batch);
  size_t next = 0, running = 0;
  while (next < cases.size() || running > 0) {
    for (; next < cases.size() && engine.free_slots() > 0; ++next, ++running) {
      Request request;
      request.sampling = cases[next].sampling;
      request.seed = next;
      request.max_new_tokens = cases[next].n;
      in_slot[engine.insert(*engine.prefill(cases[next].prompt), request)] = next;
    }
    const auto results = steps ? steps->generate() : engine.generate();
    std::vector<SlotId> done;
    for (const StepResult& result : results) {
      Tokens& text = out[in_slot[result.slot]];
      text.insert(text.end(), result.tokens.begin(), result.tokens.end());
      if (result.finish != FinishReason::running) done.push_back(result.slot);
    }
    for (const SlotId slot : done) engine.release(slot), --running;
  }
  if (stats != nullptr) *stats = speculation->stats();
  return out;
}

}  // namespace gpt2::test
