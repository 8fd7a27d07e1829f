#include "tools/record_loop.h"

#include "src/base/clock.h"
#include "tools/signals.h"

namespace gpt2 {

double run_records(Batcher& batcher, const RecordLoop& loop, ProgressLine& progress, FinishedResults& finished,
                   ResultFile& output) {
  const double start = now_seconds();
  while (!interrupt_flag()) {
    const bool more = loop.fill();
    if (!more && batcher.unfinished() == 0) break;
    for (const Event& event : batcher.step()) loop.take(event);
    if (progress.due()) loop.show_progress(now_seconds() - start);
  }
  output.sync();
  const double seconds = now_seconds() - start;
  if (!interrupt_flag()) finished.check_all_taken();
  return seconds;
}

}  // namespace gpt2
