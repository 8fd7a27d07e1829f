#include "tests/speculated_texts.h"

#include "src/engine/batcher.h"
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
  BatcherOptions batcher_options;
  batcher_options.engine.kernels = runnable_kernels().tables[0];
  batcher_options.engine.threads = threads;
  batcher_options.engine.max_slots = batch;
  if (options != nullptr) batcher_options.speculation = *options;
  return texts(target, cases, batcher_options, nullptr, stats);
}

std::vector<Tokens> texts(const Model& target, const std::vector<SpecCase>& cases, const BatcherOptions& options,
                          std::vector<std::vector<float>>* logprobs, SpeculationStats* stats) {
  Batcher batcher(target, options);
  std::vector<Tokens> out(cases.size());
  if (logprobs != nullptr) logprobs->assign(cases.size(), {});
  for (size_t i = 0; i < cases.size(); ++i) {
    Submission submission;
    submission.id = i;
    submission.prompt = cases[i].prompt;
    submission.request.sampling = cases[i].sampling;
    submission.request.seed = i;
    submission.request.max_new_tokens = cases[i].n;
    submission.request.slide = cases[i].slide;
    submission.request.n_logprobs = logprobs != nullptr ? 1 : 0;
    batcher.submit(submission);
  }
  while (batcher.unfinished() > 0) {
    for (const Event& event : batcher.step()) {
      if (!event.token) continue;
      out[event.id].push_back(*event.token);
      if (logprobs != nullptr) (*logprobs)[event.id].push_back(event.logprob);
    }
  }
  if (stats != nullptr) *stats = *batcher.speculation_stats();
  return out;
}

}  // namespace gpt2::test
