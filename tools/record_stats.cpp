#include "tools/record_stats.h"

#include "src/io/json_object.h"
#include "tools/format.h"
#include "tools/generation.h"
#include "tools/speculation_arguments.h"

namespace gpt2 {
namespace {

double per_second(uint64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

// Of the steps during which requests waited for a slot; 100 if none had to.
double busy_percent(const BatcherStats& s) {
  return s.slot_steps > 0 ? 100 * static_cast<double>(s.busy_slot_steps) / static_cast<double>(s.slot_steps) : 100;
}

}  // namespace

std::string stats_json(const RecordStats& s) {
  const ProcessUsage process = process_usage();
  return JsonObject()
             .real("load_ms", rounded(s.load_ms))
             .whole("records", s.n_records)
             .whole("failed", s.n_failed)
             .whole("results", s.n_results)
             .whole("resumed", s.n_resumed)
             .whole("prompt_tokens", s.engine.prompt_tokens)
             .whole("cached_tokens", s.engine.cached_tokens)
             .whole("computed_rows", s.engine.computed_rows)
             .whole("completion_tokens", s.engine.generated_tokens)
             .real("seconds", rounded(s.seconds))
             .real("engine_seconds", rounded(s.engine.seconds))
             .real("records_per_s", rounded(per_second(s.n_records, s.seconds)))
             .real("tokens_per_s", rounded(per_second(s.engine.generated_tokens, s.seconds)))
             .whole("steps", s.engine.steps)
             .whole("batch", s.batch)
             .real("busy_slots_percent", rounded(busy_percent(s.engine)))
             .whole("preemptions", s.engine.preemptions)
             .whole("kv_blocks", s.engine.pool_blocks)
             .whole("kv_bytes", s.engine.pool_bytes)
             .whole("peak_rss_bytes", static_cast<uint64_t>(process.peak_rss_bytes))
             .whole("major_page_faults", process.major_faults)
             .whole("threads", s.threads)
             .string("kernels", s.kernels)
             .string("model", s.model)
             .raw("interrupted", s.interrupted ? "true" : "false")
             .whole("seed", s.seed)
             .raw("speculation", s.speculation ? speculation_json(*s.speculation) : "null")
             .text() +
         "\n";
}

std::string stats_table(const RecordStats& s) {
  const ProcessUsage process = process_usage();
  const auto number = [](uint64_t value) { return std::to_string(value); };
  Table table({Table::Align::left, Table::Align::left});
  table.row({"model", s.model});
  table.row({"load", fixed(s.load_ms, 1) + " ms"});
  table.row({"records", number(s.n_records) + ", " + number(s.n_failed) + " failed, " + number(s.n_results) +
                            " results written, " + number(s.n_resumed) + " there before"});
  table.row({"prompts", number(s.engine.prompt_tokens) + " tokens, " + number(s.engine.cached_tokens) +
                            " of them found computed"});
  table.row({"generated", number(s.engine.generated_tokens) + " tokens in " + human_time(s.seconds) + ", " +
                              fixed(per_second(s.engine.generated_tokens, s.seconds), 1) + " tokens/s, " +
                              fixed(per_second(s.n_records, s.seconds), 1) + " records/s"});
  table.row({"steps", number(s.engine.steps) + ", " + number(s.engine.computed_rows) + " rows"});
  table.row({"batch", number(s.batch) + " slots, " + fixed(busy_percent(s.engine), 1) +
                          " % busy while records waited, " + number(s.engine.preemptions) + " preemptions"});
  table.row(
      {"cache", number(s.engine.pool_blocks) + " blocks, " + human_bytes(static_cast<double>(s.engine.pool_bytes))});
  if (s.speculation) {
    for (const auto& [name, text] : speculation_rows(*s.speculation)) table.row({name, text});
  }
  table.row({"peak memory",
             human_bytes(process.peak_rss_bytes) + ", " + std::to_string(process.major_faults) + " major page faults"});
  table.row({"threads", std::to_string(s.threads) + ", kernels " + std::string(s.kernels)});
  if (s.interrupted) table.row({"finished by", "interrupted"});
  table.row({"seed", std::to_string(s.seed)});
  return table.text();
}

}  // namespace gpt2
