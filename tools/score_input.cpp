#include "tools/score_input.h"

#include "tools/plain_text.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxDocument = uint64_t{1} << 30;  // bytes

}  // namespace

ScoreInput::ScoreInput(std::vector<std::string> files, std::optional<RecordFormat> format, Shard shard,
                       const ScoreParser& parser)
    : files_(std::move(files)), format_(format), shard_(shard), parser_(parser) {}

ScoreInput::Got ScoreInput::next(ScoreRecord& record, std::string& line, LineReader::Wait wait) {
  line.clear();
  if (!format_) return next_document(record);
  for (;;) {
    if (!lines_) {
      if (next_file_ == files_.size()) return Got::end;
      reader_ = std::make_unique<LineReader>(files_[next_file_++], *format_ == RecordFormat::null ? '\0' : '\n',
                                             kMaxRecordBytes);
      lines_.emplace(*reader_, *format_, shard_, next_index_);
    }
    RecordPlace place;
    const LineReader::Got got = lines_->next(line, wait, place);
    if (got == LineReader::Got::nothing) return Got::nothing;
    if (got == LineReader::Got::end) {
      next_index_ = lines_->next_index();
      lines_.reset();
      continue;
    }
    const std::string& name = reader_->name();
    if (got == LineReader::Got::line) {
      record = parser_.parse(line, *format_, name, place);
      return Got::record;
    }
    line.clear();
    record = ScoreParser::failed(
        place, place_text(name, *format_, place, 0) +
                   (got == LineReader::Got::foreign
                        ? encoding_fault(reader_->foreign_encoding())
                        : "expected at most " + std::to_string(kMaxRecordBytes) + " bytes, found more"));
    return Got::record;
  }
}

ScoreInput::Got ScoreInput::next_document(ScoreRecord& record) {
  while (next_file_ < files_.size()) {
    const std::string& file = files_[next_file_++];
    const uint64_t index = next_index_++;
    if (index % shard_.step != shard_.first) continue;
    record = parser_.document(read_input_file(file, kMaxDocument), file, index);
    return Got::record;
  }
  return Got::end;
}

}  // namespace gpt2
