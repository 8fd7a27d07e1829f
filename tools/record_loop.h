// The loop of a run over many records, whatever becomes of each: what there is room for is handed to the batcher, and
// what its steps bring is taken, until nothing is left or a signal comes.
#pragma once

#include <functional>

#include "src/engine/batcher.h"
#include "tools/progress.h"
#include "tools/result_file.h"

namespace gpt2 {

struct RecordLoop {
  std::function<bool()> fill;  // hands over what there is room for; false: there is nothing more to hand over
  std::function<void(const Event&)> take;
  std::function<void(double seconds)> show_progress;
};

// Runs until nothing is left to hand over and nothing is unfinished, or a signal comes; then everything that is done
// and in turn is on disk. Returns the seconds. Throws Error from reading and writing, and where `finished` holds
// results that no record asked for.
double run_records(Batcher& batcher, const RecordLoop& loop, ProgressLine& progress, FinishedResults& finished,
                   ResultFile& output);

}  // namespace gpt2
