// Where results go: stdout, or a file that a later run can go on with. Each result is written whole at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "src/io/file_descriptor.h"
#include "src/io/output_path.h"

namespace gpt2 {

struct RecordFailure;

// What a record's results have in common.
struct RecordKey {
  uint64_t index = 0;  // in the whole input
  std::string id;      // as JSON
  uint64_t made_from = 0;
  uint32_t n_samples = 1;
};

// What stands behind id and index in a result: which of the record's samples it is, or which units of its text are
// scored. A failure has an error there.
enum class ResultForm { sample, units };

// Returns the result of a record that failed, for all samples or for one: an object and a newline.
std::string failure_object(const RecordKey& key, const RecordFailure& failure,
                           std::optional<uint32_t> sample = std::nullopt);

// The results that a file already has, as JSON objects a line.
class FinishedResults {
 public:
  explicit FinishedResults(ResultForm form = ResultForm::sample) : form_(form) {}

  struct Finished {
    std::string id;              // as JSON
    uint64_t line = 0;           // of its first result
    uint64_t made_from = 0;
    bool whole = false;          // stands for all samples: an error, or units
    std::set<uint32_t> samples;  // as many as there are lines, whatever their numbers are
    bool has(uint32_t sample) const { return whole || samples.contains(sample); }
  };

  // Expects results of the records whose index is `first` modulo `step`.
  void expect_shard(uint64_t first, uint64_t step) noexcept { first_ = first, step_ = step; }
  // Reads them; returns where the last whole line ends: behind it stands nothing, or a result that broke off. Throws
  // Error (exit 2) for anything else, for a result that is there twice, and for another shard's.
  uint64_t read(const std::string& path);
  // Those of the record, if there are any; it is not asked for again. Throws Error (exit 2) if they are another
  // record's, or were made from something else.
  std::optional<Finished> take(const RecordKey& record);
  // Throws Error (exit 2) if there are results of records beyond those that were seen.
  void check_all_taken() const;
  uint64_t failed() const noexcept { return n_failed_; }  // records with an error

 private:
  void add(std::string_view text, uint64_t line);
  [[noreturn]] void fail_at(uint64_t line, const std::string& expected, const std::string& found) const;

  ResultForm form_;
  std::string path_;
  std::map<uint64_t, Finished> results_;  // by index
  uint64_t n_failed_ = 0;
  uint64_t first_ = 0, step_ = 1;
};

// Returns whether `text` can be the beginning of a result's line, as far as it goes: id, index, and what the form has
// behind them.
bool begins_result(std::string_view text, ResultForm form = ResultForm::sample);

class ResultFile {
 public:
  enum class Existing { refuse, replace, resume };
  // Writes to stdout.
  ResultFile() = default;
  // Opens a file and locks it as long as this object lives; `resume`: writes behind what `finished` finds there. A FIFO
  // or a device is written to. Throws Error: exit 1 if it cannot be written; exit 2 if it is one of `inputs`, there and
  // Existing::refuse, or locked by another run.
  ResultFile(const std::string& path, Existing existing, const InputFiles& inputs, FinishedResults& finished);

  // Writes one result whole. Throws Error (exit 1) if it fails.
  void write(std::string_view result);
  // Waits until all of it is stored.
  void sync();

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace gpt2
