#include "tools/bench_batch.h"

#include <algorithm>

#include "src/base/error.h"
#include "tools/format.h"
#include "tools/progress.h"
#include "tools/signals.h"
#include "tools/streams.h"

namespace gpt2 {

std::vector<OptionGroup> BatchBenchCommand::options() {
  return {{"bench batch",
           {{"--batch", "", "Sequences together (default 16).", whole_value(batch_, 2, 256)},
            {"--batch-prompts", "", "Prompts of 16 to 64 tokens, continued by 8 to 256 (default 200).",
             whole_value(values_.prompts, 1, 1u << 20)},
            {"--long-prompt", "", "Tokens of the prompt that is computed beside the others (default 900).",
             whole_value(values_.long_prompt, 1, 1u << 20)}}}};
}

void BatchBenchCommand::run(const Setting& setting) const {
  BatchBenchOptions options = values_;
  options.engine = setting.engine;
  options.engine.max_slots = batch_;
  options.repetitions = setting.repetitions;
  const uint32_t n_ctx = setting.model.config().n_ctx;
  if (n_ctx < 128)
    fail(ExitCode::input, "bench batch: expected a model of at least 128 positions, found " + std::to_string(n_ctx));
  options.long_prompt = std::min(options.long_prompt, n_ctx - 64);
  BatchBenchmark benchmark(setting.model, options);
  BatchBenchResult result;
  {
    catch_interrupts();
    ProgressBar bar("bench batch", setting.verbosity, human_count);
    result = benchmark.run([&](size_t done, size_t of) {
      if (interrupt_flag()) throw Interrupted{};
      bar.update(done, of);
    });
  }
  Figures shown;
  shown.add("model", "model", json_quote(setting.shown_name), printable(setting.shown_name, 400));
  shown.add("isa", "kernels", json_quote(setting.engine.kernels->name), setting.engine.kernels->name);
  shown.whole("threads", "threads", setting.engine.threads);
  shown.whole("batch", "sequences together", batch_);
  shown.whole("prompts", "prompts", options.prompts);
  shown.real("continuous_tokens_per_s", "continuous batches, tokens/s", result.continuous_rate, 1);
  shown.real("fixed_tokens_per_s", "fixed batches, tokens/s", result.fixed_rate, 1);
  shown.real("gain", "continuous / fixed", result.gain, 3);
  shown.real("busy_percent", "slots in use while prompts wait, %", 100 * result.busy, 1);
  shown.whole("long_prompt", "tokens of the long prompt", options.long_prompt);
  shown.real("median_gap_ms", "between tokens without it, median ms", 1e3 * result.median_gap, 2);
  shown.real("calm_p99_gap_ms", "between tokens without it, 99th percentile ms", 1e3 * result.calm_p99_gap, 2);
  shown.real("p99_gap_ms", "between tokens beside it, 99th percentile ms", 1e3 * result.p99_gap, 2);
  shown.real("gap_ratio", "ratio", result.p99_gap / result.median_gap, 2);
  shown.real("prompt_alone_ms", "long prompt alone, ms", 1e3 * result.prompt_alone, 1);
  shown.real("prompt_beside_ms", "long prompt beside the others, ms", 1e3 * result.prompt_beside, 1);
  shown.real("prompt_ratio", "ratio", result.prompt_beside / result.prompt_alone, 2);
  write_output(setting.format == BenchFormat::json  ? shown.as_json().text() + "\n"
               : setting.format == BenchFormat::csv ? shown.as_csv()
                                                    : shown.as_table());
}

}  // namespace gpt2
