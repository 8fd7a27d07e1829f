#include "src/serve/service.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/serve/api.h"

namespace gpt2 {
namespace {

FileDescriptor make_eventfd() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw ApiError(503, "too many files are open; try again later");
  return FileDescriptor(fd);
}

void signal_eventfd(int fd) noexcept {
  const uint64_t one = 1;
  const ssize_t ignored = write(fd, &one, sizeof one);
  static_cast<void>(ignored);  // it can only be full, and then it is readable
}

JobEvent owned(const Event& event, uint32_t prompt) {
  JobEvent copy;
  copy.prompt = prompt;
  copy.sample = event.sample;
  copy.token = event.token;
  copy.finish = event.finish;
  copy.logprob = event.logprob;
  copy.top.assign(event.top.begin(), event.top.end());
  copy.scores.assign(event.scores.begin(), event.scores.end());
  copy.score_top.assign(event.score_top.begin(), event.score_top.end());
  copy.n_cached = event.n_cached;
  return copy;
}

// What the works' events will hold at most: a row for each token but the first.
uint64_t logit_bytes_of(std::span<const Work> works, uint64_t n_vocab) {
  uint64_t n_rows = 0;
  for (const Work& work : works) n_rows += work.wants_logits ? work.prompt.size() - 1 : 0;
  return n_rows * n_vocab * sizeof(float);
}

void append_rows(const Engine& engine, const Event& event, std::vector<float>& out) {
  for (size_t i = 0; i < event.scores.size(); ++i) {
    const std::span<const float> row = engine.step_logits().row(event.score_row + i);
    out.insert(out.end(), row.begin(), row.end());
  }
}

}  // namespace

// Without the logits, which have a bound of their own.
size_t JobEvent::bytes() const noexcept {
  return sizeof *this + (top.size() + score_top.size()) * sizeof(TokenLogprob) + scores.size() * sizeof(TokenScore);
}

Job::Job(Service& service, uint64_t first_id, uint32_t n_prompts)
    : service_(service), first_id_(first_id), n_prompts_(n_prompts), ready_(make_eventfd()) {}

Job::~Job() { service_.forget(*this); }

std::vector<JobEvent> Job::take() {
  uint64_t count = 0;
  const ssize_t ignored = read(ready_.get(), &count, sizeof count);
  static_cast<void>(ignored);
  const std::lock_guard lock(service_.mutex_);
  if (!service_.failure_.empty()) throw ApiError(503, service_.failure_);
  event_bytes_ = 0;
  if (std::exchange(is_paused_, false)) {
    for (uint32_t i = 0; i < n_prompts_; ++i) service_.orders_.resumed.push_back(first_id_ + i);
    service_.changed_.notify_one();
  }
  return std::exchange(events_, {});
}

void Job::cancel(uint32_t prompt, uint32_t sample) {
  const std::lock_guard lock(service_.mutex_);
  service_.places_.at(first_id_ + prompt).samples[sample].has_ended = true;
  service_.orders_.cancellations.push_back({first_id_ + prompt, sample});
  service_.changed_.notify_one();
}

Service::Service(const Model& model, const BatcherOptions& options, const ServiceLimits& limits)
    : limits_(limits), n_vocab_(model.config().n_vocab), thread_([this, &model, options] { run(model, options); }) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_ready_; });
  if (!start_failure_) return;
  lock.unlock();
  thread_.join();
  std::rethrow_exception(start_failure_);
}

Service::~Service() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

std::unique_ptr<Job> Service::submit(std::vector<Work> works) {
  uint64_t n_samples = 0;
  for (const Work& work : works) n_samples += work.n_samples;
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw ApiError(503, failure_);
  const uint64_t n_waiting = stats_.unfinished + n_pending_ - std::min(stats_.unfinished + n_pending_, stats_.slots);
  if (n_waiting > 0 && n_waiting + n_samples > limits_.max_queue) {
    ++stats_.refused_jobs;
    throw ApiError(429, "too many requests wait: " + std::to_string(n_waiting) + " texts, at most " +
                            std::to_string(limits_.max_queue) + "; try again later");
  }
  const uint64_t logit_bytes = logit_bytes_of(works, n_vocab_);
  if (stats_.logit_bytes + logit_bytes > limits_.max_logit_bytes) {
    ++stats_.refused_jobs;
    throw ApiError(429, "the logits of other requests take the memory; try again later");
  }
  std::unique_ptr<Job> job(new Job(*this, next_id_, static_cast<uint32_t>(works.size())));
  for (size_t i = 0; i < works.size(); ++i) {
    const uint64_t id = next_id_++;
    places_.emplace(id, Place{job.get(), static_cast<uint32_t>(i), works[i].wants_logits,
                              std::vector<Place::Sample>(works[i].n_samples, {now_seconds()})});
    Submission submission;
    submission.id = id;
    submission.prompt = std::move(works[i].prompt);
    submission.request = std::move(works[i].request);
    submission.n_samples = works[i].n_samples;
    orders_.submissions.push_back(std::move(submission));
  }
  job->logit_bytes_ = logit_bytes;
  stats_.logit_bytes += logit_bytes;
  n_pending_ += n_samples;
  ++stats_.jobs;
  changed_.notify_one();
  return job;
}

// What the engine has not seen yet is taken back, what it has is cancelled.
void Service::forget(Job& job) {
  const std::lock_guard lock(mutex_);
  const auto is_jobs = [&](uint64_t id) { return id >= job.first_id_ && id < job.first_id_ + job.n_prompts_; };
  std::erase_if(orders_.submissions, [&](const Submission& submission) {
    if (!is_jobs(submission.id)) return false;
    n_pending_ -= submission.n_samples;
    return true;
  });
  bool is_cut = false;
  for (uint32_t i = 0; i < job.n_prompts_; ++i) {
    const uint64_t id = job.first_id_ + i;
    const auto found = places_.find(id);
    if (found == places_.end()) continue;  // submit() was out of memory
    const std::vector<Place::Sample>& samples = found->second.samples;
    is_cut |= std::any_of(samples.begin(), samples.end(), [](const auto& sample) { return !sample.has_ended; });
    places_.erase(found);
    orders_.cancellations.push_back({id, std::nullopt});
  }
  stats_.cancelled_jobs += is_cut ? 1 : 0;
  stats_.logit_bytes -= job.logit_bytes_;
  changed_.notify_one();
}

ServiceStats Service::stats() const {
  const std::lock_guard lock(mutex_);
  ServiceStats stats = stats_;
  stats.unfinished += n_pending_;
  return stats;
}

std::string Service::nonfinite_reason() const {
  const std::lock_guard lock(mutex_);
  return nonfinite_reason_;
}

bool Service::failed() const {
  const std::lock_guard lock(mutex_);
  return !failure_.empty();
}

// The engine's thread: also its threads' team begins here.
void Service::run(const Model& model, const BatcherOptions& options) {
  std::optional<Batcher> batcher;
  {
    const std::lock_guard lock(mutex_);
    try {
      batcher.emplace(model, options);
      engine_options_ = batcher->engine().options();
      publish(*batcher);
    } catch (...) {
      start_failure_ = std::current_exception();
    }
    is_ready_ = true;
    changed_.notify_all();
  }
  if (!batcher) return;
  try {
    run_steps(*batcher);
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    failure_ = std::string("the engine has failed: ") + error.what();
    for (const auto& [id, place] : places_) signal_eventfd(place.job->ready_.get());
  }
}

void Service::run_steps(Batcher& batcher) {
  for (;;) {
    Orders orders;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_stopping_ || !orders_.empty() || batcher.runnable() > 0; });
      if (is_stopping_) return;
      orders = std::exchange(orders_, {});
      stats_.unfinished += std::exchange(n_pending_, 0);
    }
    carry_out(std::move(orders), batcher);
    const std::span<const Event> events = batcher.step();
    const std::lock_guard lock(mutex_);
    distribute(batcher, events);
    publish(batcher);
  }
}

void Service::carry_out(Orders orders, Batcher& batcher) {
  for (Submission& submission : orders.submissions) batcher.submit(std::move(submission));
  for (const Cancellation& one : orders.cancellations) {
    if (one.sample) {
      batcher.cancel(one.id, *one.sample);
    } else {
      batcher.cancel(one.id);
    }
  }
  for (const uint64_t id : orders.resumed) batcher.resume(id);
}

// A token's time is when its step has ended.
void Service::observe(const Event& event, Place::Sample& sample, double now) {
  if (event.finish != FinishReason::running) sample.has_ended = true;
  if (!event.token) return;
  Histogram& histogram = std::exchange(sample.has_begun, true) ? stats_.between_tokens : stats_.first_token;
  histogram.observe(now - std::exchange(sample.time, now));
}

void Service::distribute(Batcher& batcher, std::span<const Event> events) {
  const double now = now_seconds();
  for (const Event& event : events) {
    const auto found = places_.find(event.id);
    if (found == places_.end()) continue;  // its job is gone
    Place& place = found->second;
    observe(event, place.samples[event.sample], now);
    if (event.finish == FinishReason::nonfinite) nonfinite_reason_ = batcher.engine().nonfinite_reason();
    Job& job = *place.job;
    if (job.events_.empty()) signal_eventfd(job.ready_.get());
    job.events_.push_back(owned(event, place.prompt));
    if (place.wants_logits) append_rows(batcher.engine(), event, job.events_.back().logits);
    job.event_bytes_ += job.events_.back().bytes();
    if (job.event_bytes_ <= limits_.max_event_bytes || std::exchange(job.is_paused_, true)) continue;
    ++stats_.pauses;
    for (uint32_t i = 0; i < job.n_prompts_; ++i) batcher.pause(job.first_id_ + i);
  }
}

void Service::publish(const Batcher& batcher) {
  stats_.batcher = batcher.stats();
  if (batcher.speculation_stats() != nullptr) stats_.speculation = *batcher.speculation_stats();
  stats_.unfinished = batcher.unfinished();
  stats_.slots = batcher.engine().options().max_slots;
  stats_.free_blocks = batcher.engine().available_blocks();
}

}  // namespace gpt2
