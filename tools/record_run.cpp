#include "tools/record_run.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/engine/infill.h"
#include "src/io/json_object.h"
#include "tools/escapes.h"
#include "tools/made_from.h"
#include "tools/record_loop.h"
#include "tools/signals.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

// Results that wait for those before them: after so many bytes nothing is read until some are written.
constexpr size_t kMostBytes = size_t{64} << 20;

}  // namespace

RecordRun::RecordRun(const RecordRunOptions& options, LineReader& input, RecordParser& parser, Batcher& batcher,
                     FinishedResults& finished, ResultFile& output)
    : options_(options),
      input_(input),
      lines_(input, options.format, options.shard),
      parser_(parser),
      batcher_(batcher),
      finished_(finished),
      output_(output),
      window_(options.order,
              [this](std::string_view result) {
                output_.write(result);
                ++n_results_;
              }),
      most_expected_(4 * size_t{batcher.engine().options().max_slots} + 64),
      progress_(options.verbosity) {}

void RecordRun::run() {
  const auto fill_more = [this] {
    fill();
    return !at_end_ || current_ != nullptr;
  };
  seconds_ = run_records(batcher_,
                         {fill_more, [this](const Event& event) { take(event); },
                          [this](double seconds) { show_progress(seconds); }},
                         progress_, finished_, output_);
}

bool RecordRun::has_room() const { return window_.expected() < most_expected_ && window_.waiting_bytes() < kMostBytes; }

// Hands over what is there and what there is room for; waits for a record only if nothing runs.
void RecordRun::fill() {
  while (has_room() && !at_end_ && !interrupt_flag()) {
    if (current_ == nullptr && !read_record()) return;
    if (current_->record.failure) {
      hand_over_failure();
    } else {
      hand_over_samples();
    }
    const uint32_t n_samples = current_->record.arguments.n_samples;
    if (next_sample_ < n_samples) continue;
    release(*current_);
    current_ = nullptr;
  }
}

// The next record that is this run's to do; false if none is there.
bool RecordRun::read_record() {
  const LineReader::Wait wait = batcher_.unfinished() == 0 ? LineReader::Wait::yes : LineReader::Wait::no;
  while (!interrupt_flag()) {
    RecordPlace place;
    const LineReader::Got got = lines_.next(line_, wait, place);
    at_end_ = got == LineReader::Got::end;
    if (at_end_ || got == LineReader::Got::nothing) return false;
    const bool whole = got == LineReader::Got::line, foreign = got == LineReader::Got::foreign;
    Record record = whole     ? parser_.parse(line_, place)
                    : foreign ? parser_.foreign(place, input_.foreign_encoding())
                              : parser_.too_long(place, kMaxRecordBytes);
    ++n_records_;
    record.made_from = made_from(options_.basis, record, whole ? line_ : "");
    current_finished_ =
        finished_.take({record.index, record.id, record.made_from, record.arguments.n_samples});
    next_sample_ = next_wanted(0, record.arguments.n_samples);
    if (next_sample_ == record.arguments.n_samples) continue;
    check_models();
    n_failed_ += record.failure ? 1 : 0;
    current_ = &open_[place.index];
    current_->record = std::move(record);
    current_->n_open = 1;
    return true;
  }
  return false;
}

// Before a record begins and before a result is written: no result of a model that changed is ever written.
void RecordRun::check_models() const {
  for (const Model* model : options_.models) model->check_unchanged();
}

// The first sample from `from` on that is not there yet.
uint32_t RecordRun::next_wanted(uint32_t from, uint32_t n_samples) {
  if (!current_finished_) return from;
  for (; from < n_samples && current_finished_->has(from); ++from) ++n_resumed_;
  return from;
}

// An object for all samples, or an empty text for each.
void RecordRun::hand_over_failure() {
  const Record& record = current_->record;
  if (next_sample_ == 0 && !options_.json) say(record.failure->message);
  if (options_.json) {
    next_sample_ = record.arguments.n_samples;
    window_.put(window_.expect(), failure_json(record, std::nullopt));
    return;
  }
  while (next_sample_ < record.arguments.n_samples && has_room()) {
    window_.put(window_.expect(), result_text("", options_.format));
    ++next_sample_;
  }
}

// The longest run of samples that are wanted and have room, as one submission.
void RecordRun::hand_over_samples() {
  Record& record = current_->record;
  const uint32_t n_samples = record.arguments.n_samples;
  const TokenText text = text_behind(batcher_.engine().model(), record.prompt);
  Submission submission;
  submission.request = record.request;
  submission.request.sample = next_sample_;
  submission.n_samples = 0;
  do {
    const uint64_t place = window_.expect();
    if (submission.n_samples == 0) submission.id = place;
    Running& running =
        running_.emplace(place, Running{current_, {text, next_sample_, record.arguments.stop_matcher()}})
            .first->second;
    if (record.request.scores.first > 0) running.builder.begin_scores(record.prompt[0]);
    ++current_->n_open;
    ++submission.n_samples;
    ++next_sample_;
  } while (next_sample_ < n_samples && has_room() && !(current_finished_ && current_finished_->has(next_sample_)));
  next_sample_ = next_wanted(next_sample_, n_samples);
  submission.prompt = next_sample_ < n_samples ? record.prompt : std::move(record.prompt);
  batcher_.submit(std::move(submission));
}

void RecordRun::take(const Event& event) {
  const uint64_t place = event.id + event.sample;
  const auto found = running_.find(place);
  if (found == running_.end()) return;  // a stop string has ended it
  auto& [open, builder] = found->second;
  builder.push_scores(event.scores, event.score_top, open->record.arguments.logprobs.value_or(0));
  if (event.token) {
    builder.push(*event.token, event.finish == FinishReason::eos);
    if (const auto& n = open->record.arguments.logprobs) {
      builder.push_logprobs({*event.token, event.logprob}, event.top.first(std::min<size_t>(event.top.size(), *n)));
    }
  }
  if (builder.stopped() && event.finish == FinishReason::running) batcher_.cancel(event.id, event.sample);
  if (!builder.stopped() && event.finish == FinishReason::running) return;
  check_models();
  std::string result;
  if (event.finish == FinishReason::nonfinite) {
    result = fail_sample(*open, builder.sample().index);
  } else {
    builder.finish(finish_reason_name(event.finish));
    const Sample& sample = builder.sample();
    result = options_.json ? result_json(open->record, sample, parser_.tokenizer())
                           : result_text(sample.text, options_.format);
  }
  Open& record = *open;
  running_.erase(found);
  release(record);
  window_.put(place, std::move(result));
}

// The model failed, and the record with it.
std::string RecordRun::fail_sample(Open& open, uint32_t sample) {
  if (!open.record.failure) {
    ++n_failed_;
    open.record.failure = {ExitCode::model, printable(batcher_.engine().model().name(), 400) + ": " +
                                                std::string(batcher_.engine().nonfinite_reason())};
    if (!options_.json) say(open.record.failure->message);
  }
  return options_.json ? failure_json(open.record, sample) : result_text("", options_.format);
}

void RecordRun::release(Open& open) {
  if (--open.n_open == 0) open_.erase(open.record.index);
}

void RecordRun::show_progress(double seconds) {
  const auto tokens = static_cast<double>(batcher_.stats().generated_tokens);
  progress_.show(human_count(static_cast<double>(n_records_ - open_.size())) + " records, " +
                 human_count(tokens / std::max(seconds, 1e-9)) + " tokens/s");
}

void RecordRun::report(RecordStats& stats) const {
  stats.n_records = n_records_;
  stats.n_failed = n_failed();
  stats.n_results = n_results_;
  stats.n_resumed = n_resumed_;
  stats.engine = batcher_.stats();
  stats.seconds = seconds_;
  stats.interrupted = interrupt_flag();
}

std::string result_json(const Record& record, const Sample& sample, const Tokenizer& tokenizer) {
  const ResultOf of = {record.id, record.index, record.n_prompt, record.n_dropped, record.request.seed,
                       record.arguments.logprobs.has_value(), record.made_from};
  return result_object(of, sample, tokenizer).text() + "\n";
}

std::string failure_json(const Record& record, std::optional<uint32_t> sample) {
  return failure_object({record.index, record.id, record.made_from}, *record.failure, sample);
}

std::string result_text(std::string_view text, RecordFormat format) {
  if (format == RecordFormat::null) return std::string(text) + '\0';
  return escaped_line(text) + "\n";
}

}  // namespace gpt2
