// The engine behind a server: one thread owns the batcher and steps it; others hand it work and take what comes of it.
// What a prompt gives does not depend on what runs beside it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "src/engine/batcher.h"
#include "src/io/file_descriptor.h"
#include "src/serve/metrics.h"

namespace gpt2 {

// A prompt and how many samples of its continuation are wanted.
struct Work {
  std::vector<int32_t> prompt;  // as Engine::start() takes it
  Request request;              // its sample index is that of the first sample
  uint32_t n_samples = 1;
  // The logits that its tokens are scored from are told too (Request::scores). So much is nothing that waits long: the
  // service bounds what all such works may hold.
  bool wants_logits = false;
};

// An Event of the batcher that owns what it tells.
struct JobEvent {
  uint32_t prompt = 0, sample = 0;  // which of the job's works, which of its samples
  std::optional<int32_t> token;
  FinishReason finish = FinishReason::running;
  float logprob = 0;
  std::vector<TokenLogprob> top;
  std::vector<TokenScore> scores;
  std::vector<TokenLogprob> score_top;
  uint32_t n_cached = 0;
  std::vector<float> logits;  // that `scores` were made from, one row behind the other, where the work wants them

  size_t bytes() const noexcept;
};

class Service;

// Works that were handed over together. To let go of it cancels what is left of it, before the next step. Nothing more
// of it is computed while its owner has too many events to take.
class Job {
 public:
  ~Job();
  Job(const Job&) = delete;

  // Is readable when there is something to take.
  int ready_fd() const noexcept { return ready_.get(); }
  // Returns the events since the last call, which may be none. Throws ApiError where the engine has failed.
  std::vector<JobEvent> take();
  // A sample's further events are not wanted.
  void cancel(uint32_t prompt, uint32_t sample);

 private:
  friend class Service;
  Job(Service& service, uint64_t first_id, uint32_t n_prompts);

  Service& service_;
  const uint64_t first_id_;   // of its works, which have ids one behind the other
  const uint32_t n_prompts_;
  uint64_t logit_bytes_ = 0;  // of its events, at most
  FileDescriptor ready_;      // an eventfd
  // Under the service's mutex.
  std::vector<JobEvent> events_;
  size_t event_bytes_ = 0;
  bool is_paused_ = false;
};

struct ServiceLimits {
  uint64_t max_logit_bytes = uint64_t{64} << 20;  // of all works that want logits
  uint32_t max_queue = 1024;                    // samples that wait for a slot
  size_t max_event_bytes = size_t{256} << 10;   // that wait for a job's owner; behind the step that has more it pauses
};

struct ServiceStats {
  BatcherStats batcher;
  std::optional<SpeculationStats> speculation;
  uint64_t unfinished = 0;       // samples that wait or run
  uint64_t slots = 0, free_blocks = 0;
  Histogram first_token, between_tokens;  // seconds from a sample's arrival, and from its token before
  uint64_t logit_bytes = 0;               // that jobs hold, or will
  uint64_t jobs = 0, cancelled_jobs = 0, refused_jobs = 0, pauses = 0;  // since the start
};

class Service {
 public:
  // Starts the thread. `model`, and a draft's in `options`, outlive the service. Throws Error as Batcher does.
  Service(const Model& model, const BatcherOptions& options, const ServiceLimits& limits);
  ~Service();

  // Hands works over. Throws ApiError: 429 where too many samples wait, 503 where the engine has failed.
  std::unique_ptr<Job> submit(std::vector<Work> works);
  ServiceStats stats() const;
  // Returns what the engine runs with.
  const EngineOptions& engine_options() const noexcept { return engine_options_; }
  // Returns why a text ended as FinishReason::nonfinite.
  std::string nonfinite_reason() const;
  bool failed() const;

 private:
  friend class Job;
  struct Place {
    Job* job = nullptr;
    uint32_t prompt = 0;
    bool wants_logits = false;
    struct Sample {
      double time = 0;  // of its last token, at first of its arrival
      bool has_begun = false, has_ended = false;
    };
    std::vector<Sample> samples;
  };
  struct Cancellation {
    uint64_t id = 0;
    std::optional<uint32_t> sample;
  };
  // What the engine is told before its next step.
  struct Orders {
    std::vector<Submission> submissions;
    std::vector<Cancellation> cancellations;
    std::vector<uint64_t> resumed;

    bool empty() const noexcept { return submissions.empty() && cancellations.empty() && resumed.empty(); }
  };

  void run(const Model& model, const BatcherOptions& options);
  void run_steps(Batcher& batcher);
  static void carry_out(Orders orders, Batcher& batcher);
  void distribute(Batcher& batcher, std::span<const Event> events);
  void observe(const Event& event, Place::Sample& sample, double now);
  void publish(const Batcher& batcher);
  void forget(Job& job);

  const ServiceLimits limits_;
  const uint32_t n_vocab_;
  EngineOptions engine_options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under the mutex.
  bool is_ready_ = false, is_stopping_ = false;
  std::exception_ptr start_failure_;
  std::string failure_;
  uint64_t next_id_ = 0;
  uint64_t n_pending_ = 0;  // samples of the orders' submissions
  Orders orders_;
  std::unordered_map<uint64_t, Place> places_;  // by the submission's id
  ServiceStats stats_;
  std::string nonfinite_reason_;

  std::thread thread_;
};

}  // namespace gpt2
