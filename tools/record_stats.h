// What a run over many prompts was and took, for --stats: as JSON and as a table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/engine/batcher.h"

namespace gpt2 {

struct RecordStats {
  uint64_t n_records = 0, n_failed = 0, n_results = 0;
  uint64_t n_resumed = 0;    // results that were there before
  BatcherStats engine;
  double seconds = 0;        // from the first record's reading to the last result's writing
  double load_ms = 0;
  std::string model;
  std::string_view kernels;
  uint32_t threads = 0, batch = 0;
  uint64_t seed = 0;
  bool interrupted = false;
  std::optional<SpeculationStats> speculation;
};

// Returns one JSON object and a newline.
std::string stats_json(const RecordStats& stats);
std::string stats_table(const RecordStats& stats);

}  // namespace gpt2
