#include "tools/result_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "src/base/error.h"
#include "src/io/json.h"
#include "tools/line_reader.h"
#include "tools/record.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxResult = uint64_t{1} << 30;
constexpr int64_t kMaxSample = 0xFFFFFFFF;

}  // namespace

void FinishedResults::fail_at(uint64_t line, const std::string& expected, const std::string& found) const {
  fail(ExitCode::usage, printable(path_, 400) + ":" + std::to_string(line) + ": expected " + expected + ", found " + found +
                            " (--resume goes on with the same input and options)");
}

uint64_t FinishedResults::read(const std::string& path) {
  path_ = path;
  LineReader reader(path, '\n', kMaxResult);
  uint64_t end = 0;
  std::string text;
  for (uint64_t line = 1; reader.next(text, LineReader::Wait::yes) == LineReader::Got::line && reader.complete(); ++line) {
    add(text, line);
    end = reader.offset();
  }
  return end;
}

void FinishedResults::add(std::string_view text, uint64_t line) {
  Json json;
  const bool is_json = !read_json(text, json);
  const Json *index = json.find("index"), *id = json.find("id"), *sample = json.find("sample"), *error = json.find("error");
  const auto counts = [](const Json* number) { return number != nullptr && number->kind == Json::Kind::integer && number->integer >= 0; };
  const bool fits = is_json && counts(index) && id != nullptr && !id_text(*id).empty() &&
                    (counts(sample) ? sample->integer <= kMaxSample : error != nullptr);
  if (!fits) fail_at(line, "a result with id, index and sample", "\"" + printable(text) + "\"");
  Finished& finished = results_[static_cast<uint64_t>(index->integer)];
  if (finished.line == 0) {
    finished.line = line;
    finished.id = id_text(*id);
  }
  if (error != nullptr) ++n_failed_;
  if (!counts(sample)) {
    finished.whole = true;
    return;
  }
  const auto which = static_cast<size_t>(sample->integer);
  if (finished.samples.size() <= which) finished.samples.resize(which + 1);
  finished.samples[which] = true;
}

std::optional<FinishedResults::Finished> FinishedResults::take(uint64_t index, std::string_view id, uint32_t n_samples) {
  const auto found = results_.find(index);
  if (found == results_.end()) return std::nullopt;
  Finished finished = std::move(found->second);
  results_.erase(found);
  const std::string record = "record " + std::to_string(index);
  if (finished.id != id) fail_at(finished.line, record + " with the id " + printable(id), "the id " + printable(finished.id));
  if (finished.samples.size() > n_samples) {
    fail_at(finished.line, record + " with " + std::to_string(n_samples) + " samples", "sample " + std::to_string(finished.samples.size() - 1));
  }
  return finished;
}

void FinishedResults::check_all_taken() const {
  if (results_.empty()) return;
  const auto& [index, finished] = *results_.begin();
  fail_at(finished.line, "results of the input's records", "one of record " + std::to_string(index) + ", which it does not have");
}

ResultFile::ResultFile(const std::string& path, Existing existing, FinishedResults& finished) : path_(path) {
  struct stat info = {};
  const bool there = stat(path.c_str(), &info) == 0, regular = there && S_ISREG(info.st_mode);
  if (regular && existing == Existing::refuse) {
    fail(ExitCode::usage, printable(path, 400) + ": exists already; --resume goes on with it, --force replaces it");
  }
  const uint64_t end = regular && existing == Existing::resume ? finished.read(path) : 0;
  file_ = FileDescriptor(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (file_.get() < 0) fail_errno(path, "write", errno);
  if (regular && ftruncate(file_.get(), static_cast<off_t>(end)) != 0) fail_errno(path, "cut", errno);
}

void ResultFile::write(std::string_view result) {
  if (file_.get() < 0) return write_output(result);
  while (!result.empty()) {
    const ssize_t n = ::write(file_.get(), result.data(), result.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_errno(path_, "write", n < 0 ? errno : ENOSPC);
    result.remove_prefix(static_cast<size_t>(n));
  }
}

void ResultFile::sync() {
  // Pipes and devices cannot be synced.
  if (file_.get() >= 0 && fsync(file_.get()) != 0 && errno != EINVAL && errno != EROFS) fail_errno(path_, "sync", errno);
}

}  // namespace gpt2
