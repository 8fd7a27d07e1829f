// How `gpt2 bench` shows its rows: a table, CSV or JSON, and beside an earlier run's JSON the ratios of both.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/measure/benchmark.h"
#include "tools/figures.h"

namespace gpt2 {

// Returns "prefill", "decode", "rows" or "first".
std::string_view test_name(BenchTest test);

// What was timed, the same for all rows of a run.
struct BenchSetting {
  std::string shape, dtype, kv_dtype, isa;
  uint32_t threads = 1;
};

// The rows of an earlier run with --json.
class EarlierBench {
 public:
  struct Row {
    std::string test, shape, dtype;
    uint64_t n = 0, depth = 0, threads = 0;
    double tokens_per_second = 0, percent = 0, percent_low = 0, percent_high = 0;
  };

  // Reads what `gpt2 bench --json` printed ("-": stdin). Throws Error: exit 1 if it cannot be read, exit 4 if it is
  // something else.
  explicit EarlierBench(const std::string& path);

  // Returns the row of the same test, shape, type and number of threads; nullptr if there is none. The instruction set,
  // the type of the cache and the machine may be others: they are what one compares.
  const Row* find(const BenchCase& bench, const BenchSetting& setting) const;

 private:
  std::vector<Row> rows_;
};

// Now / before of one row. The spread is that of the percentages of the limit, which stand beside the machine's state
// in both runs: the lowest now / the highest before, to the other way round.
struct BenchRatio {
  double tokens = 0, percent = 0, percent_low = 0, percent_high = 0;
};
BenchRatio ratio_of(const BenchResult& now, const EarlierBench::Row& before);

// Returns the text of all rows, with their ratios where `earlier` is given.
std::string bench_report(const std::vector<BenchResult>& results, const BenchSetting& setting, BenchFormat format,
                         const EarlierBench* earlier);

}  // namespace gpt2
