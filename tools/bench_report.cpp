#include "tools/bench_report.h"

#include <sstream>

#include "src/base/error.h"
#include "src/io/json.h"
#include "src/io/json_object.h"
#include "tools/format.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMostBytes = uint64_t{16} << 20;  // of an earlier run

// The fields of one object of an earlier run.
class EarlierFields {
 public:
  EarlierFields(const std::string& path, size_t index, const Json& object)
      : path_(path), index_(index), object_(object) {
    if (object.kind != Json::Kind::object) fail_field("an object", object.describe());
  }
  std::string string(std::string_view key) const {
    const Json& value = field(key);
    if (value.kind != Json::Kind::string) fail_field(quoted(key) + " to be a string", value.describe());
    return value.string;
  }
  uint64_t whole(std::string_view key) const {
    const Json& value = field(key);
    if (value.kind != Json::Kind::integer || value.integer < 0)
      fail_field(quoted(key) + " to be a whole number", value.describe());
    return static_cast<uint64_t>(value.integer);
  }
  double positive(std::string_view key) const {
    const Json& value = field(key);
    double number = 0;
    if (value.kind == Json::Kind::real) number = value.real;
    if (value.kind == Json::Kind::integer) number = static_cast<double>(value.integer);
    if (!(number > 0)) fail_field(quoted(key) + " to be a positive number", value.describe());
    return number;
  }

 private:
  static std::string quoted(std::string_view key) { return "\"" + std::string(key) + "\""; }
  const Json& field(std::string_view key) const {
    const Json* value = object_.find(key);
    if (value == nullptr) fail_field(quoted(key), "no such key");
    return *value;
  }
  [[noreturn]] void fail_field(const std::string& expected, const std::string& found) const {
    fail(ExitCode::input, printable(path_, 400) + ": row " + std::to_string(index_ + 1) +
                              " of an earlier --json: expected " + expected + ", found " + found);
  }
  const std::string& path_;
  size_t index_;
  const Json& object_;
};

std::string spread(double low, double high, int digits) { return fixed(low, digits) + ".." + fixed(high, digits); }

std::string as_table(const std::vector<BenchResult>& results, const BenchSetting& setting,
                     const EarlierBench* earlier) {
  std::string text = printable(setting.shape, 400) + ", " + setting.dtype + ", cache " + setting.kv_dtype + ", " +
                     setting.isa + ", " + std::to_string(setting.threads) +
                     (setting.threads == 1 ? " thread\n" : " threads\n");
  constexpr auto kRight = Table::Align::right, kLeft = Table::Align::left;
  std::vector<Table::Align> columns = {kLeft, kRight, kRight, kRight, kRight, kRight, kLeft, kRight, kRight};
  std::vector<std::string> head = {"test", "n",  "depth", "tokens/s",           "ms", "reached",
                                   "",     "limit", "% of limit (spread)"};
  if (earlier != nullptr) {
    for (const char* name : {"before", "tokens/s x", "% of limit x (spread)"}) {
      head.push_back(name);
      columns.push_back(kRight);
    }
  }
  Table table(std::move(columns));
  table.row(std::move(head));
  for (const BenchResult& r : results) {
    const bool read = r.limit == "read";
    const double reached = (read ? r.bytes : r.operations) * r.tokens_per_second() / r.bench.n;
    std::vector<std::string> cells = {
        std::string(test_name(r.bench.test)), std::to_string(r.bench.n), std::to_string(r.bench.depth),
        fixed(r.tokens_per_second(), 1), fixed(1000 * r.bench.n / r.tokens_per_second(), 2), fixed(reached / 1e9, 1),
        read ? "GB/s" : "Gop/s", r.limit + " " + fixed(r.limit_value() / 1e9, 1),
        fixed(r.percent(), 1) + " (" + spread(r.percent_low(), r.percent_high(), 1) + ")"};
    if (earlier != nullptr) {
      const EarlierBench::Row* before = earlier->find(r.bench, setting);
      const BenchRatio ratio = before != nullptr ? ratio_of(r, *before) : BenchRatio{};
      cells.push_back(before == nullptr ? "none" : fixed(before->tokens_per_second, 1));
      cells.push_back(before == nullptr ? "" : fixed(ratio.tokens, 3));
      cells.push_back(before == nullptr ? ""
                                        : fixed(ratio.percent, 3) + " (" +
                                              spread(ratio.percent_low, ratio.percent_high, 3) + ")");
    }
    table.row(std::move(cells));
  }
  return text + table.text();
}

std::string as_csv(const std::vector<BenchResult>& results, const BenchSetting& setting, const EarlierBench* earlier) {
  std::string text =
      "test,shape,dtype,kv_dtype,isa,threads,n,depth,tokens_per_s,limit,limit_value,percent_of_limit,percent_low,"
      "percent_high,operations,bytes";
  text += earlier != nullptr ? ",tokens_ratio,percent_ratio,percent_ratio_low,percent_ratio_high\n" : "\n";
  for (const BenchResult& r : results) {
    std::ostringstream line;
    line << test_name(r.bench.test) << ",\"" << setting.shape << "\"," << setting.dtype << ',' << setting.kv_dtype
         << ',' << setting.isa << ',' << setting.threads << ',' << r.bench.n << ',' << r.bench.depth << ','
         << r.tokens_per_second() << ',' << r.limit << ',' << r.limit_value() << ',' << r.percent() << ','
         << r.percent_low() << ',' << r.percent_high() << ',' << r.operations << ',' << r.bytes;
    if (earlier != nullptr) {
      const EarlierBench::Row* before = earlier->find(r.bench, setting);
      const BenchRatio ratio = before != nullptr ? ratio_of(r, *before) : BenchRatio{};
      if (before == nullptr) {
        line << ",,,,";
      } else {
        line << ',' << ratio.tokens << ',' << ratio.percent << ',' << ratio.percent_low << ',' << ratio.percent_high;
      }
    }
    text += line.str() + '\n';
  }
  return text;
}

std::string as_json(const std::vector<BenchResult>& results, const BenchSetting& setting, const EarlierBench* earlier) {
  std::string text;
  for (const BenchResult& r : results) {
    JsonObject object;
    object.string("test", test_name(r.bench.test))
        .string("shape", setting.shape)
        .string("dtype", setting.dtype)
        .string("kv_dtype", setting.kv_dtype)
        .string("isa", setting.isa)
        .whole("threads", setting.threads)
        .whole("n", r.bench.n)
        .whole("depth", r.bench.depth)
        .real("tokens_per_s", r.tokens_per_second())
        .string("limit", r.limit)
        .real("limit_value", r.limit_value())
        .real("percent_of_limit", r.percent())
        .real("percent_low", r.percent_low())
        .real("percent_high", r.percent_high())
        .real("operations", r.operations)
        .real("bytes", r.bytes);
    if (const EarlierBench::Row* before = earlier != nullptr ? earlier->find(r.bench, setting) : nullptr) {
      const BenchRatio ratio = ratio_of(r, *before);
      object.real("tokens_ratio", ratio.tokens)
          .real("percent_ratio", ratio.percent)
          .real("percent_ratio_low", ratio.percent_low)
          .real("percent_ratio_high", ratio.percent_high);
    }
    text += (text.empty() ? "" : ",\n ") + object.text();
  }
  return "[" + text + "]\n";
}

}  // namespace

std::string_view test_name(BenchTest test) {
  switch (test) {
    case BenchTest::prefill: return "prefill";
    case BenchTest::decode: return "decode";
    case BenchTest::rows: return "rows";
    case BenchTest::first: return "first";
  }
  return "?";
}

EarlierBench::EarlierBench(const std::string& path) {
  Json all;
  const std::string text = read_input_file(path, kMostBytes);
  if (const std::optional<JsonFault> fault = read_json(text, all)) {
    fail(ExitCode::input, printable(path, 400) + ": byte " + std::to_string(fault->offset) + ": expected " +
                              fault->expected + ", found " + fault->found);
  }
  if (all.kind != Json::Kind::array) {
    fail(ExitCode::input,
         printable(path, 400) + ": expected the array that gpt2 bench --json prints, found " + all.describe());
  }
  for (size_t i = 0; i < all.array.size(); ++i) {
    const EarlierFields fields(path, i, all.array[i]);
    rows_.push_back({fields.string("test"), fields.string("shape"), fields.string("dtype"), fields.whole("n"),
                     fields.whole("depth"), fields.whole("threads"), fields.positive("tokens_per_s"),
                     fields.positive("percent_of_limit"), fields.positive("percent_low"),
                     fields.positive("percent_high")});
  }
}

const EarlierBench::Row* EarlierBench::find(const BenchCase& bench, const BenchSetting& setting) const {
  for (const Row& row : rows_) {
    if (row.test == test_name(bench.test) && row.n == bench.n && row.depth == bench.depth &&
        row.shape == setting.shape && row.dtype == setting.dtype && row.threads == setting.threads) {
      return &row;
    }
  }
  return nullptr;
}

BenchRatio ratio_of(const BenchResult& now, const EarlierBench::Row& before) {
  return {now.tokens_per_second() / before.tokens_per_second, now.percent() / before.percent,
          now.percent_low() / before.percent_high, now.percent_high() / before.percent_low};
}

std::string bench_report(const std::vector<BenchResult>& results, const BenchSetting& setting, BenchFormat format,
                         const EarlierBench* earlier) {
  switch (format) {
    case BenchFormat::json: return as_json(results, setting, earlier);
    case BenchFormat::csv: return as_csv(results, setting, earlier);
    case BenchFormat::table: break;
  }
  return as_table(results, setting, earlier);
}

}  // namespace gpt2
