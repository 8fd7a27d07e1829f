// Many texts through the batcher to be scored: texts are read ahead, computed together, and their results come out in
// order. What is read and not yet written is bounded, so an endless input takes constant memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/engine/batcher.h"
#include "src/measure/evaluation.h"
#include "src/measure/part_scores.h"
#include "tools/progress.h"
#include "tools/reorder_window.h"
#include "tools/result_file.h"
#include "tools/score_input.h"

namespace gpt2 {

struct ScoreRunOptions {
  uint32_t window = 0, stride = 0;  // tokens; 1 <= stride < window <= n_ctx
  bool distribution = false;        // entropy and rank of each token
  uint32_t n_top = 0;               // of the most likely tokens in each place
  std::vector<int32_t> word_beginnings;  // whose probability is wanted at each token and at the end; empty: it is not
  ReorderWindow::Order order = ReorderWindow::Order::of_input;
  Verbosity verbosity = Verbosity::normal;
  std::string basis;  // of made_from
};

// A text and its scores. `top`: n_top tokens of each scored token, most likely first.
struct ScoredRecord {
  ScoreRecord record;
  ScoredText text;
  std::vector<TokenLogprob> top;
};

class ScoreRun {
 public:
  // Makes a text's result, as it is written, or that of a record with a failure.
  using Write = std::function<std::string(const ScoredRecord&)>;
  // All references outlive the run. `finished`: results that are not computed again.
  ScoreRun(const ScoreRunOptions& options, ScoreInput& input, Batcher& batcher, FinishedResults& finished,
           ResultFile& output, Write write);

  // Runs until the input ends or a signal comes; then everything that is done and in turn is written. Throws Error from
  // reading and writing.
  void run();

  uint64_t n_records() const noexcept { return n_records_; }
  // Records that failed, now or in an earlier run.
  uint64_t n_failed() const { return n_failed_ + finished_.failed(); }
  uint64_t n_resumed() const noexcept { return n_resumed_; }
  uint64_t n_scored() const noexcept { return n_scored_; }  // tokens
  double seconds() const noexcept { return seconds_; }

 private:
  // A text some of whose windows are not done.
  struct Open {
    ScoredRecord scored;
    std::vector<EvalWindow> windows;
    size_t next_window = 0, n_running = 0;
    uint64_t place = 0;  // in the window of results
  };
  struct Running {
    Open* open = nullptr;
    size_t begin = 0;  // of its window in the record's tokens
  };

  bool has_room() const;
  void fill();
  bool read_record();
  void open_record(ScoreRecord record);
  void submit_window(Open& open);
  uint32_t shared_with_last(std::span<const int32_t> tokens, uint32_t first) const;
  void take(const Event& event);
  void add_score(const TokenScore& score, std::span<const TokenLogprob> top, size_t index, Open& open);
  void close(Open& open);

  ScoreRunOptions options_;
  ScoreInput& input_;
  Batcher& batcher_;
  FinishedResults& finished_;
  Write write_;
  ResultFile& output_;
  ReorderWindow window_;
  size_t most_submitted_, most_expected_;
  std::unordered_map<uint64_t, Open> open_;        // by place in the window of results
  std::unordered_map<uint64_t, Running> running_;  // by submission
  Open* current_ = nullptr;                        // whose windows are submitted
  std::vector<int32_t> last_;                      // the tokens of the last submission
  std::string line_;
  bool at_end_ = false;
  uint64_t next_submission_ = 0;
  uint64_t n_records_ = 0, n_failed_ = 0, n_resumed_ = 0, n_scored_ = 0;
  ProgressLine progress_;
  double seconds_ = 0;
};

}  // namespace gpt2
