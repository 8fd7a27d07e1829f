#include "src/serve/metrics.h"

#include <algorithm>
#include <string>

#include "src/io/json.h"
#include "src/serve/api.h"
#include "src/serve/service.h"

namespace gpt2 {
namespace {

// Text in Prometheus' exposition format, version 0.0.4.
class Exposition {
 public:
  void add(const char* name, const char* type, const char* help, double value) {
    begin(name, type, help);
    line(name, "", value);
  }
  void begin(const char* name, const char* type, const char* help) {
    text_ += std::string("# HELP ") + name + ' ' + help + "\n# TYPE " + name + ' ' + type + '\n';
  }
  void line(const std::string& name, const std::string& labels, double value) {
    text_ += name + (labels.empty() ? "" : "{" + labels + "}") + ' ' + json_number(value) + '\n';
  }
  void add(const std::string& name, const char* help, const Histogram& histogram) {
    begin(name.c_str(), "histogram", help);
    uint64_t below = 0;
    for (size_t i = 0; i < Histogram::kEdges.size(); ++i) {
      below += histogram.counts()[i];
      line(name + "_bucket", "le=\"" + json_number(Histogram::kEdges[i]) + "\"", static_cast<double>(below));
    }
    line(name + "_bucket", "le=\"+Inf\"", static_cast<double>(histogram.count()));
    line(name + "_sum", "", histogram.sum());
    line(name + "_count", "", static_cast<double>(histogram.count()));
  }
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

void add_requests(const RequestCounts& requests, Exposition& text) {
  text.begin("gpt2_http_requests_total", "counter", "Requests by the status of their response; 0: the client left.");
  for (int status = RequestCounts::kLeast - 1; status <= RequestCounts::kMost; ++status) {
    const uint64_t n = requests.of(status);
    const int label = status < RequestCounts::kLeast ? 0 : status;
    if (n > 0) text.line("gpt2_http_requests_total", "code=\"" + std::to_string(label) + "\"", static_cast<double>(n));
  }
}

void add_engine(const ServiceStats& stats, Exposition& text) {
  const auto real = [](uint64_t n) { return static_cast<double>(n); };
  const BatcherStats& batcher = stats.batcher;
  const uint64_t running = std::min(stats.unfinished, stats.slots);
  text.add("gpt2_slots", "gauge", "Texts that can run together.", real(stats.slots));
  text.add("gpt2_texts_running", "gauge", "Texts that run, as far as slots are known to be taken.", real(running));
  text.add("gpt2_texts_waiting", "gauge", "Texts that wait for a slot.", real(stats.unfinished - running));
  text.add("gpt2_jobs_total", "counter", "Jobs that were taken.", real(stats.jobs));
  text.add("gpt2_jobs_refused_total", "counter", "Jobs that were refused because too many texts waited.",
           real(stats.refused_jobs));
  text.add("gpt2_jobs_cancelled_total", "counter", "Jobs whose client left before their end.",
           real(stats.cancelled_jobs));
  text.add("gpt2_job_pauses_total", "counter", "Times that a job was paused because its answer was read too slowly.",
           real(stats.pauses));
  text.add("gpt2_kv_blocks", "gauge", "Blocks of 64 positions that the cache of keys and values has.",
           real(batcher.pool_blocks));
  text.add("gpt2_kv_blocks_used", "gauge", "Blocks that running texts hold.",
           real(batcher.pool_blocks - std::min(stats.free_blocks, batcher.pool_blocks)));
  text.add("gpt2_prompt_tokens_total", "counter", "Tokens of the prompts that started.", real(batcher.prompt_tokens));
  text.add("gpt2_prefix_cache_tokens_total", "counter", "Tokens of these prompts that were found computed.",
           real(batcher.cached_tokens));
  text.add("gpt2_generated_tokens_total", "counter", "Tokens that were generated.", real(batcher.generated_tokens));
  text.add("gpt2_computed_rows_total", "counter", "Rows that went through the model.", real(batcher.computed_rows));
  text.add("gpt2_steps_total", "counter", "Steps of the engine.", real(batcher.steps));
  text.add("gpt2_step_seconds_total", "counter", "Seconds in these steps.", batcher.seconds);
  text.add("gpt2_preemptions_total", "counter", "Texts that gave their blocks back and were computed again.",
           real(batcher.preemptions));
  text.add("gpt2_draft_tokens_total", "counter", "Tokens that a draft proposed.", real(batcher.proposed));
  text.add("gpt2_draft_tokens_accepted_total", "counter", "Proposed tokens that were accepted.",
           real(batcher.accepted));
  text.add("gpt2_time_to_first_token_seconds", "From a text's arrival to its first token.", stats.first_token);
  text.add("gpt2_time_between_tokens_seconds", "Between two tokens of one text.", stats.between_tokens);
}

}  // namespace

void Histogram::observe(double seconds) noexcept {
  const auto edge = std::lower_bound(kEdges.begin(), kEdges.end(), seconds);
  ++counts_[static_cast<size_t>(edge - kEdges.begin())];
  sum_ += seconds;
  ++count_;
}

void RequestCounts::count(int status) noexcept { counts_[index(status)].fetch_add(1, std::memory_order_relaxed); }

void add_metrics(const Api& api, const RequestCounts& requests, Router& router) {
  const auto handler = [&api, &requests](const HttpRequest& /*request*/, const std::vector<std::string>& /*names*/,
                                         ResponseWriter& out) {
    Exposition text;
    add_requests(requests, text);
    add_engine(api.service.stats(), text);
    out.send({200, "text/plain; version=0.0.4; charset=utf-8", text.text()});
  };
  router.add({"GET", "/metrics", handler, openai_error});
}

}  // namespace gpt2
