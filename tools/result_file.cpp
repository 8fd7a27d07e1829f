#include "tools/result_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/io/json.h"
#include "src/io/json_object.h"
#include "tools/line_reader.h"
#include "tools/record_text.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxResult = uint64_t{1} << 30;
constexpr int64_t kMaxSample = 0xFFFFFFFF;
constexpr std::string_view kMadeFrom = "made_from";

// Takes `expected` from the front of `text`; a text that breaks off in it is used up.
bool take_front(std::string_view& text, std::string_view expected) {
  const size_t n = std::min(text.size(), expected.size());
  if (text.substr(0, n) != expected.substr(0, n)) return false;
  text.remove_prefix(n);
  return true;
}

}  // namespace

std::string failure_object(const RecordKey& key, const RecordFailure& failure, std::optional<uint32_t> sample) {
  JsonObject error, result;
  error.whole("code", static_cast<uint64_t>(failure.code)).string("message", failure.message);
  result.raw("id", key.id).whole("index", key.index);
  if (sample) result.whole("sample", *sample);
  return result.raw("error", error.text()).string(kMadeFrom, hex64(key.made_from)).text() + "\n";
}

void FinishedResults::fail_at(uint64_t line, const std::string& expected, const std::string& found) const {
  fail(ExitCode::usage, printable(path_, 400) + ":" + std::to_string(line) + ": expected " + expected + ", found " +
                            found + " (--resume goes on with the same input and options)");
}

uint64_t FinishedResults::read(const std::string& path) {
  path_ = path;
  LineReader reader(path, '\n', kMaxResult);
  uint64_t end = 0, line = 1;
  std::string text;
  for (;; ++line) {
    const LineReader::Got got = reader.next(text, LineReader::Wait::yes);
    if (got == LineReader::Got::end) return end;
    if (got != LineReader::Got::line) fail_at(line, "a result", "a line that is too long or no text in UTF-8");
    if (!reader.complete()) break;
    add(text, line);
    end = reader.offset();
  }
  if (!begins_result(text, form_))
    fail_at(line, "a result, or the beginning of one that broke off", "\"" + printable(text) + "\"");
  return end;
}

void FinishedResults::add(std::string_view text, uint64_t line) {
  Json json;
  const bool is_json = !read_json(text, json);
  const Json *index = json.find("index"), *id = json.find("id"), *sample = json.find("sample"),
             *units = json.find("unit"), *error = json.find("error");
  const auto counts = [](const Json* number) {
    return number != nullptr && number->kind == Json::Kind::integer && number->integer >= 0;
  };
  const bool is_sample = form_ == ResultForm::sample && counts(sample) && sample->integer <= kMaxSample;
  const bool is_units = form_ == ResultForm::units && units != nullptr && units->kind == Json::Kind::string;
  const bool fits = is_json && counts(index) && id != nullptr && !id_text(*id).empty() &&
                    (is_sample || is_units || (sample == nullptr && error != nullptr));
  if (!fits) {
    fail_at(line, std::string("a result with id, index and ") + (form_ == ResultForm::sample ? "sample" : "unit"),
            "\"" + printable(text) + "\"");
  }
  // That an input is in a foreign encoding is an error of record 0 in every shard.
  if (error == nullptr && static_cast<uint64_t>(index->integer) % step_ != first_) {
    fail_at(line, "results of the shard's records", "one of record " + std::to_string(index->integer));
  }
  const Json* key = json.find(kMadeFrom);
  if (key == nullptr)
    fail_at(line, std::string(kMadeFrom) + " in each result",
            "none: an older version of gpt2 wrote it; nobody can tell what it was made from");
  const std::optional<uint64_t> made_from = parse_hex64(key->string);
  if (!made_from) fail_at(line, std::string(kMadeFrom) + " of 16 hexadecimal digits", key->describe());
  Finished& finished = results_[static_cast<uint64_t>(index->integer)];
  const std::string record = "record " + std::to_string(index->integer);
  if (finished.line == 0) {
    finished.line = line;
    finished.id = id_text(*id);
    finished.made_from = *made_from;
    if (error != nullptr) ++n_failed_;
  }
  if (finished.made_from != *made_from || finished.id != id_text(*id)) {
    fail_at(line, "results of " + record + " that were made from the same",
            "another than in line " + std::to_string(finished.line));
  }
  const bool whole = sample == nullptr;
  if (finished.whole || (whole && !finished.samples.empty()) ||
      (!whole && !finished.samples.insert(static_cast<uint32_t>(sample->integer)).second)) {
    fail_at(line, "each result once", record + (whole ? "" : ", sample " + std::to_string(sample->integer)) + " again");
  }
  finished.whole = whole;
}

std::optional<FinishedResults::Finished> FinishedResults::take(const RecordKey& record) {
  const auto found = results_.find(record.index);
  if (found == results_.end()) return std::nullopt;
  Finished finished = std::move(found->second);
  results_.erase(found);
  const std::string name = "record " + std::to_string(record.index);
  if (finished.id != record.id)
    fail_at(finished.line, name + " with the id " + printable(record.id), "the id " + printable(finished.id));
  if (!finished.samples.empty() && *finished.samples.rbegin() >= record.n_samples) {
    fail_at(finished.line, name + " with " + std::to_string(record.n_samples) + " samples",
            "sample " + std::to_string(*finished.samples.rbegin()));
  }
  if (finished.made_from != record.made_from) {
    fail_at(finished.line,
            name + (form_ == ResultForm::sample ? " made from this prompt, these options, this seed and this model"
                                                : " made from this text, these options and this model"),
            "it made from another (" + std::string(kMadeFrom) + ")");
  }
  return finished;
}

void FinishedResults::check_all_taken() const {
  if (results_.empty()) return;
  const auto& [index, finished] = *results_.begin();
  fail_at(finished.line, "results of the input's records",
          "one of record " + std::to_string(index) + ", which it does not have");
}

// Everything behind the first members is JSON, which has no control characters.
bool begins_result(std::string_view text, ResultForm form) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
  if (!plain || !take_front(text, "{\"id\":")) return false;
  if (text.starts_with('"')) {
    size_t i = 1;
    while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    text.remove_prefix(std::min(i + 1, text.size()));
  } else {
    text.remove_prefix(std::min(text.find_first_not_of("-0123456789"), text.size()));
  }
  if (!take_front(text, ",\"index\":")) return false;
  text.remove_prefix(std::min(text.find_first_not_of("0123456789"), text.size()));
  std::string_view result = text, failure = text;
  return take_front(result, form == ResultForm::sample ? ",\"sample\":" : ",\"unit\":\"") ||
         take_front(failure, ",\"error\":{");
}

// Opened and locked first, then looked at: what is decided here is still so when it is written to.
ResultFile::ResultFile(const std::string& path, Existing existing, const InputFiles& inputs, FinishedResults& finished)
    : path_(path) {
  const OutputPath target = output_path(path, inputs);
  const bool absent = target.kind == OutputPath::Kind::absent;
  const auto fail_exists = [&] {
    fail(ExitCode::usage, printable(path, 400) + ": exists already; --resume goes on with it, --force replaces it");
  };
  if (target.kind == OutputPath::Kind::regular && existing == Existing::refuse) fail_exists();
  file_ = FileDescriptor(
      open(target.path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | (absent ? O_CREAT | O_EXCL : 0), 0666));
  if (absent && file_.get() < 0 && errno == EEXIST) fail_exists();
  struct stat info = {};
  if (file_.get() < 0 || fstat(file_.get(), &info) != 0) fail_path(path, "write", errno);
  inputs.refuse(path, info);
  if (!S_ISREG(info.st_mode)) return;
  // A file system without locks is used without.
  if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    fail(ExitCode::usage,
         printable(path, 400) + ": expected a file of this run alone, found one that another run is writing");
  }
  if (absent) return;
  const uint64_t end = existing == Existing::resume ? finished.read(target.path) : 0;
  if (ftruncate(file_.get(), static_cast<off_t>(end)) != 0) fail_errno(path, "cut", errno);
}

void ResultFile::write(std::string_view result) {
  if (file_.get() < 0) return write_output(result);
  if (const int error = write_stream(file_.get(), result)) fail_errno(path_, "write", error);
}

void ResultFile::sync() {
  // Pipes and devices cannot be synced.
  if (file_.get() >= 0 && fsync(file_.get()) != 0 && errno != EINVAL && errno != EROFS)
    fail_errno(path_, "sync", errno);
}

}  // namespace gpt2
