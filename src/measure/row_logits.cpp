#include "src/measure/row_logits.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {

void each_row_logits(Engine& engine, std::span<const int32_t> tokens,
                     const std::function<void(size_t row, std::span<const float> logits)>& body) {
  Request request;
  request.max_new_tokens = 1;  // the last row says what comes next
  request.n_logprobs = 1;
  request.scores.first = 1;
  const SlotId slot = engine.insert(engine.start(tokens, request));
  for (size_t row = 0; row < tokens.size();) {
    const Sequence& text = engine.sequence(slot);
    const uint32_t left = text.n_known() - text.n_computed();
    const StepRows rows = {slot, std::min(engine.limits().prompt_rows, left), {}};
    const FinishReason finish = engine.generate({&rows, 1})[0].finish;
    if (finish == FinishReason::nonfinite)
      fail(ExitCode::model, printable(engine.model().name(), 400) + ": " + std::string(engine.nonfinite_reason()));
    for (size_t i = 0; i < rows.n_rows; ++i) body(row++, engine.step_logits().row(i));
  }
  engine.remove(slot);
}

}  // namespace gpt2
