// Many prompts through the batcher: records are read ahead, run together, and their results come out in order. What is
// read and not yet written is bounded, so an endless input takes constant memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/engine/batcher.h"
#include "tools/generation.h"
#include "tools/progress.h"
#include "tools/record.h"
#include "tools/record_lines.h"
#include "tools/record_stats.h"
#include "tools/reorder_window.h"
#include "tools/result_file.h"

namespace gpt2 {

struct RecordRunOptions {
  RecordFormat format = RecordFormat::lines;
  bool json = false;  // results as JSON
  ReorderWindow::Order order = ReorderWindow::Order::of_input;
  Shard shard;
  Verbosity verbosity = Verbosity::normal;
  std::string basis;                  // of made_from
  std::vector<const Model*> models;   // whose files must stay as they are
};

class RecordRun {
 public:
  // All references outlive the run. `finished`: results that are not computed again.
  RecordRun(const RecordRunOptions& options, LineReader& input, RecordParser& parser, Batcher& batcher,
            FinishedResults& finished, ResultFile& output);

  // Runs until the input ends or a signal comes; then everything that is done and in turn is written. Throws Error from
  // reading and writing.
  void run();
  // Fills in what was counted.
  void report(RecordStats& stats) const;
  // Records that failed, now or in an earlier run.
  uint64_t n_failed() const { return n_failed_ + finished_.failed(); }

 private:
  // A record some of whose samples are not done.
  struct Open {
    Record record;                // its prompt is gone once all samples were handed over
    uint32_t n_open = 0;          // samples that run, and one more while some were not handed over
  };
  struct Running {
    Open* open = nullptr;
    SampleBuilder builder;
  };

  bool has_room() const;
  void fill();
  void check_models() const;
  bool read_record();
  uint32_t next_wanted(uint32_t from, uint32_t n_samples);
  void hand_over_failure();
  void hand_over_samples();
  void take(const Event& event);
  std::string fail_sample(Open& open, uint32_t sample);
  void release(Open& open);
  void show_progress(double seconds);

  RecordRunOptions options_;
  LineReader& input_;
  RecordLines lines_;
  RecordParser& parser_;
  Batcher& batcher_;
  FinishedResults& finished_;
  ResultFile& output_;
  ReorderWindow window_;
  size_t most_expected_;
  std::unordered_map<uint64_t, Open> open_;        // by index
  std::unordered_map<uint64_t, Running> running_;  // by place in the window
  Open* current_ = nullptr;                        // whose samples are handed over
  std::optional<FinishedResults::Finished> current_finished_;
  uint32_t next_sample_ = 0;
  std::string line_;
  bool at_end_ = false;
  uint64_t n_records_ = 0, n_failed_ = 0, n_results_ = 0, n_resumed_ = 0;
  ProgressLine progress_;
  double seconds_ = 0;
};

// Returns a result as it is written: an object, or text whose end is a newline (control characters and backslashes
// escaped) or NUL.
std::string result_json(const Record& record, const Sample& sample, const Tokenizer& tokenizer);
std::string failure_json(const Record& record, std::optional<uint32_t> sample);
std::string result_text(std::string_view text, RecordFormat format);

}  // namespace gpt2
