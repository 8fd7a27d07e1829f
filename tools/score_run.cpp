#include "tools/score_run.h"

#include <algorithm>

#include "src/base/error.h"
#include "tools/format.h"
#include "tools/made_from.h"
#include "tools/record_loop.h"
#include "tools/signals.h"

namespace gpt2 {
namespace {

// Results that wait for those before them: after so many bytes nothing is read until some are written.
constexpr size_t kMostBytes = size_t{64} << 20;
// A shorter beginning in common is cheaper to compute again than to wait for.
constexpr size_t kLeastShared = 16;

uint64_t key_of(std::string_view basis, const ScoreRecord& record, std::string_view line) {
  HashedValues values;
  values.add(basis).add(uint64_t{record.n_before});
  if (record.failure) {
    values.add(line);
  } else {
    values.add_all(record.tokens);
  }
  return values.hash();
}

}  // namespace

ScoreRun::ScoreRun(const ScoreRunOptions& options, ScoreInput& input, Batcher& batcher, FinishedResults& finished,
                   ResultFile& output, Write write)
    : options_(options),
      input_(input),
      batcher_(batcher),
      finished_(finished),
      write_(std::move(write)),
      output_(output),
      window_(options.order, [this](std::string_view result) { output_.write(result); }),
      most_submitted_(2 * size_t{batcher.engine().options().max_slots} + 16),
      most_expected_(4 * most_submitted_),
      progress_(options.verbosity) {}

void ScoreRun::run() {
  const auto fill_more = [this] {
    fill();
    return !at_end_ || current_ != nullptr;
  };
  const auto show_progress = [this](double seconds) {
    progress_.show(human_count(static_cast<double>(n_records_ - open_.size())) + " texts, " +
                   human_count(static_cast<double>(n_scored_) / std::max(seconds, 1e-9)) + " tokens/s");
  };
  seconds_ = run_records(batcher_, {fill_more, [this](const Event& event) { take(event); }, show_progress}, progress_,
                         finished_, output_);
}

bool ScoreRun::has_room() const {
  return batcher_.unfinished() < most_submitted_ && window_.expected() < most_expected_ &&
         window_.waiting_bytes() < kMostBytes;
}

// Submits what is there and what there is room for; waits for a record only if nothing runs.
void ScoreRun::fill() {
  while (has_room() && !interrupt_flag()) {
    if (current_ == nullptr && (at_end_ || !read_record())) return;
    if (current_ != nullptr) submit_window(*current_);
  }
}

// Reads the next record that is not there yet; false if there is none.
bool ScoreRun::read_record() {
  const LineReader::Wait wait = batcher_.unfinished() == 0 ? LineReader::Wait::yes : LineReader::Wait::no;
  ScoreRecord record;
  const ScoreInput::Got got = input_.next(record, line_, wait);
  at_end_ = got == ScoreInput::Got::end;
  if (got != ScoreInput::Got::record) return false;
  ++n_records_;
  record.made_from = key_of(options_.basis, record, line_);
  if (finished_.take({record.index, record.id, record.made_from})) {
    ++n_resumed_;
  } else {
    open_record(std::move(record));
  }
  return true;
}

void ScoreRun::open_record(ScoreRecord record) {
  const Model& model = batcher_.engine().model();
  model.check_unchanged();
  const uint64_t place = window_.expect();
  Open& open = open_[place];
  open.place = place;
  open.scored.record = std::move(record);
  const ScoreRecord& own = open.scored.record;
  if (own.failure) {
    ++n_failed_;
    return close(open);
  }
  const std::span<const int32_t> tokens = own.tokens;
  const auto before = tokens.first(own.n_before), of_text = tokens.subspan(own.n_before);
  ScoredText& text = open.scored.text;
  text.written = written_text(model.tokenizer(), own.has_prefix ? before : std::span<const int32_t>(), of_text);
  text.scores.resize(of_text.size());
  open.scored.top.resize(of_text.size() * options_.n_top);
  size_t n_tokens = tokens.size();
  if (!options_.word_beginnings.empty()) {
    text.word_logprobs.resize(of_text.size() + 1);
    if (own.has_prefix) {
      const std::string_view last = model.tokenizer().token_bytes(before.back());
      text.goes_on = !last.empty() && !separates_words(last.back()) && !model.tokenizer().is_special(before.back());
    }
    ++n_tokens;
  }
  open.windows = eval_windows(n_tokens, options_.window, options_.stride, std::max<size_t>(own.n_before, 1));
  if (open.windows.empty()) return close(open);
  current_ = &open;
}

// How many first tokens the text has in common with that of the last submission, where that is worth waiting for.
uint32_t ScoreRun::shared_with_last(std::span<const int32_t> tokens, uint32_t first) const {
  const size_t most = std::min<size_t>({first, tokens.size(), last_.size()});
  const auto some = tokens.first(most);
  const auto n = static_cast<size_t>(std::mismatch(some.begin(), some.end(), last_.begin()).first - some.begin());
  return n < kLeastShared ? 0 : static_cast<uint32_t>(n);
}

void ScoreRun::submit_window(Open& open) {
  const EvalWindow& window = open.windows[open.next_window++];
  const std::vector<int32_t>& tokens = open.scored.record.tokens;
  Submission submission;
  submission.id = next_submission_++;
  const auto at = [&](size_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(std::min(i, tokens.size())); };
  submission.prompt.assign(at(window.begin), at(window.end));
  // Of a token behind the text only the row before it counts: what begins a word there.
  if (window.end > tokens.size()) submission.prompt.push_back(options_.word_beginnings.front());
  submission.request.max_new_tokens = 0;
  submission.request.n_logprobs = options_.n_top;
  submission.request.scores = {static_cast<uint32_t>(window.first_scored - window.begin), options_.distribution,
                               options_.word_beginnings};
  submission.n_shared = shared_with_last(submission.prompt, submission.request.scores.first);
  last_ = submission.prompt;
  running_[submission.id] = {&open, window.begin};
  ++open.n_running;
  if (open.next_window == open.windows.size()) current_ = nullptr;
  batcher_.submit(std::move(submission));
}

void ScoreRun::take(const Event& event) {
  const auto found = running_.find(event.id);
  if (found == running_.end()) return;
  Open& open = *found->second.open;
  const size_t n_top = event.scores.empty() ? 0 : event.score_top.size() / event.scores.size();
  for (size_t i = 0; i < event.scores.size(); ++i) {
    add_score(event.scores[i], event.score_top.subspan(i * n_top, n_top),
              found->second.begin + event.scores[i].index - open.scored.record.n_before, open);
  }
  if (event.finish == FinishReason::running) return;
  running_.erase(found);
  --open.n_running;
  if (event.finish == FinishReason::nonfinite && !open.scored.record.failure) {
    ++n_failed_;
    open.scored.record.failure = {ExitCode::model, printable(batcher_.engine().model().name(), 400) + ": " +
                                                       std::string(batcher_.engine().nonfinite_reason())};
  }
  if (open.n_running == 0 && open.next_window == open.windows.size()) close(open);
}

// `index`: of the token in its text.
void ScoreRun::add_score(const TokenScore& score, std::span<const TokenLogprob> top, size_t index, Open& open) {
  ScoredText& text = open.scored.text;
  if (!text.word_logprobs.empty()) text.word_logprobs[index] = score.set_logprob;
  if (index == text.scores.size()) return;
  ++n_scored_;
  text.scores[index] = score;
  std::copy(top.begin(), top.end(), open.scored.top.begin() + static_cast<std::ptrdiff_t>(index * options_.n_top));
}

void ScoreRun::close(Open& open) {
  batcher_.engine().model().check_unchanged();
  std::string result = write_(open.scored);
  const uint64_t place = open.place;
  open_.erase(place);
  window_.put(place, std::move(result));
}

}  // namespace gpt2
