#include "tools/generation.h"

#include <sys/resource.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/statistics.h"
#include "src/io/json_object.h"
#include "tools/format.h"
#include "tools/speculation_arguments.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

double per_second(size_t count, double milliseconds) {
  return milliseconds > 0 ? 1000 * static_cast<double>(count) / milliseconds : 0;
}

double prefill_rate(const Generation& g) { return per_second(g.prompt.size() - g.n_cached, g.prefill_ms); }
double decode_rate(const Generation& g) { return per_second(g.n_steps, g.decode_ms); }
size_t steps_of(const Sample& sample) { return sample.tokens.empty() ? 0 : sample.tokens.size() - 1; }

double interval(const Generation& g, double q) {
  return quantile({g.token_intervals_ms.begin(), g.token_intervals_ms.end()}, q);
}

std::string json_array(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + value;
  return "[" + list + "]";
}

// {"token":300,"text":" the","logprob":-1.5}; "bytes" tells a token exactly whose bytes are no whole characters.
std::string token_object(const TokenLogprob& one, const Tokenizer& tokenizer) {
  const std::string bytes(tokenizer.token_bytes(one.token));
  JsonObject object;
  object.whole("token", static_cast<uint64_t>(one.token)).string("text", bytes);
  size_t valid = 0;
  while (const size_t length = utf8_sequence_length(std::string_view(bytes).substr(valid))) valid += length;
  if (valid < bytes.size()) {
    std::vector<std::string> values;
    for (const char byte : bytes) values.push_back(std::to_string(static_cast<unsigned char>(byte)));
    object.raw("bytes", json_array(values));
  }
  return object.raw("logprob", json_number(one.logprob)).text();
}

std::string token_list(std::span<const TokenLogprob> tokens, const Tokenizer& tokenizer) {
  std::vector<std::string> objects;
  for (const TokenLogprob& one : tokens) objects.push_back(token_object(one, tokenizer));
  return json_array(objects);
}

}  // namespace

ProcessUsage process_usage() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return {static_cast<double>(usage.ru_maxrss) * 1024, static_cast<uint64_t>(usage.ru_majflt)};
}

std::string logprobs_json(const Sample& sample, const Tokenizer& tokenizer) {
  std::vector<std::string> numbers, tops;
  for (const TokenLogprob& one : sample.logprobs) numbers.push_back(json_number(one.logprob));
  for (const auto& likely : sample.top) tops.push_back(token_list(likely, tokenizer));
  return JsonObject()
      .raw("token_logprobs", json_array(numbers))
      .raw("tokens", token_list(sample.logprobs, tokenizer))
      .raw("top", json_array(tops))
      .text();
}

JsonObject result_object(const ResultOf& of, const Sample& sample, const Tokenizer& tokenizer) {
  JsonObject usage, result;
  usage.whole("prompt_tokens", of.n_prompt)
      .whole("prompt_tokens_dropped", of.n_dropped)
      .whole("completion_tokens", sample.tokens.size());
  result.raw("id", of.id)
      .whole("index", of.index)
      .whole("sample", sample.index)
      .string("text", sample.text)
      .raw("tokens", "[" + join_token_ids(sample.tokens, ",") + "]")
      .string("finish_reason", sample.finish_reason)
      .raw("stop", sample.stop ? json_quote(*sample.stop) : "null")
      .raw("usage", usage.text())
      .whole("seed", of.seed);
  if (of.lists_logprobs) result.raw("logprobs", logprobs_json(sample, tokenizer));
  if (of.made_from) result.string("made_from", hex64(*of.made_from));
  return result;
}

std::string sample_json(const Generation& g, const Sample& sample, const Tokenizer& tokenizer) {
  JsonObject timings;
  timings.real("load_ms", rounded(g.load_ms))
      .real("prefill_ms", rounded(g.prefill_ms))
      .real("decode_ms", rounded(sample.decode_ms))
      .real("prefill_tokens_per_s", rounded(prefill_rate(g)))
      .real("decode_tokens_per_s", rounded(per_second(steps_of(sample), sample.decode_ms)));
  JsonObject result =
      result_object({"0", 0, g.prompt.size(), g.n_dropped, g.seed, g.lists_logprobs}, sample, tokenizer);
  // The three counts stand in usage; here they are for readers of version 0.1, until 0.3.
  result.whole("prompt_tokens", g.prompt.size())
      .whole("prompt_tokens_dropped", g.n_dropped)
      .whole("completion_tokens", sample.tokens.size())
      .raw("timings", timings.text());
  return result.text() + "\n";
}

std::string stats_json(const Generation& g) {
  const ProcessUsage process = process_usage();
  JsonObject intervals;
  intervals.real("p50", rounded(interval(g, 0.5)))
      .real("p95", rounded(interval(g, 0.95)))
      .real("p99", rounded(interval(g, 0.99)));
  return JsonObject()
             .real("load_ms", rounded(g.load_ms))
             .real("first_token_ms", rounded(g.first_token_ms))
             .whole("prompt_tokens", g.prompt.size())
             .whole("cached_tokens", g.n_cached)
             .real("prefill_ms", rounded(g.prefill_ms))
             .real("prefill_tokens_per_s", rounded(prefill_rate(g)))
             .whole("samples", g.n_samples)
             .whole("completion_tokens", g.n_tokens)
             .real("decode_ms", rounded(g.decode_ms))
             .real("decode_tokens_per_s", rounded(decode_rate(g)))
             .raw("token_interval_ms", intervals.text())
             .whole("peak_rss_bytes", static_cast<uint64_t>(process.peak_rss_bytes))
             .whole("major_page_faults", process.major_faults)
             .whole("threads", g.threads)
             .string("kernels", g.kernels)
             .string("model", g.model)
             .string("finish_reason", g.finish_reason)
             .whole("seed", g.seed)
             .raw("speculation", g.speculation ? speculation_json(*g.speculation) : "null")
             .text() +
         "\n";
}

std::string stats_table(const Generation& g) {
  const ProcessUsage process = process_usage();
  const auto milliseconds = [](double value) { return fixed(value, value < 100 ? 1 : 0) + " ms"; };
  const auto phase = [&](size_t tokens, double ms, double rate) {
    return std::to_string(tokens) + " tokens in " + milliseconds(ms) + ", " + fixed(rate, 1) + " tokens/s";
  };
  Table table({Table::Align::left, Table::Align::left});
  table.row({"model", g.model});
  table.row({"load", milliseconds(g.load_ms)});
  table.row({"first token", milliseconds(g.first_token_ms) + " after the start"});
  table.row({"prefill", phase(g.prompt.size() - g.n_cached, g.prefill_ms, prefill_rate(g)) +
                            (g.n_cached > 0 ? ", " + std::to_string(g.n_cached) + " from the prompt cache" : "")});
  table.row({"decode", phase(g.n_tokens, g.decode_ms, decode_rate(g))});
  table.row({"between tokens", "p50 " + milliseconds(interval(g, 0.5)) + ", p95 " +
                                   milliseconds(interval(g, 0.95)) + ", p99 " +
                                   milliseconds(interval(g, 0.99))});
  if (g.speculation) {
    for (const auto& [name, text] : speculation_rows(*g.speculation)) table.row({name, text});
  }
  table.row({"peak memory",
             human_bytes(process.peak_rss_bytes) + ", " + std::to_string(process.major_faults) + " major page faults"});
  table.row({"threads", std::to_string(g.threads) + ", kernels " + std::string(g.kernels)});
  table.row({"finished by", std::string(g.finish_reason)});
  table.row({"seed", std::to_string(g.seed)});
  return table.text();
}

}  // namespace gpt2
