// Where results go: stdout, or a file that a later run can go on with. Each result is written whole at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/file_descriptor.h"

namespace gpt2 {

// The results that a file already has, as JSON objects a line.
class FinishedResults {
 public:
  struct Finished {
    std::string id;              // as JSON
    uint64_t line = 0;           // of its first result
    bool whole = false;          // an error stands for all samples
    std::vector<bool> samples;
    bool has(uint32_t sample) const { return whole || (sample < samples.size() && samples[sample]); }
  };

  // Reads them; returns where the last whole line ends. Throws Error (exit 2) for a line that is no result.
  uint64_t read(const std::string& path);
  // Those of the record, if there are any; it is not asked for again. Throws Error (exit 2) if they are another record's.
  std::optional<Finished> take(uint64_t index, std::string_view id, uint32_t n_samples);
  // All records were seen. Throws Error (exit 2) if there are results of more.
  void check_all_taken() const;
  uint64_t failed() const noexcept { return n_failed_; }  // records with an error

 private:
  void add(std::string_view text, uint64_t line);
  [[noreturn]] void fail_at(uint64_t line, const std::string& expected, const std::string& found) const;

  std::string path_;
  std::map<uint64_t, Finished> results_;  // by index
  uint64_t n_failed_ = 0;
};

class ResultFile {
 public:
  enum class Existing { refuse, replace, resume };
  // stdout.
  ResultFile() = default;
  // A file; `resume`: writes behind what `finished` finds there. Throws Error: exit 1 if it cannot be written, exit 2 if it is there
  // and Existing::refuse.
  ResultFile(const std::string& path, Existing existing, FinishedResults& finished);

  // Throws Error (exit 1) if it fails.
  void write(std::string_view result);
  // Waits until all of it is stored.
  void sync();

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace gpt2
