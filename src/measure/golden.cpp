#include "src/measure/golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "src/base/error.h"
#include "src/base/log_sum_exp.h"
#include "src/io/json.h"
#include "src/io/safetensors.h"
#include "src/measure/row_logits.h"

namespace gpt2 {
namespace {

[[noreturn]] void fail_at(const std::string& place, const std::string& expected, const std::string& found) {
  fail(ExitCode::input, place + ": expected " + expected + ", found " + found);
}

void check_shape(const GoldenText& text, const Config& config) {
  const size_t n = text.tokens.size();
  if (n == 0 || n > config.n_ctx)
    fail_at(text.place, "1 to " + std::to_string(config.n_ctx) + " tokens, the model's positions", std::to_string(n));
  for (const int32_t token : text.tokens) {
    if (token < 0 || static_cast<uint32_t>(token) >= config.n_vocab)
      fail_at(text.place, "tokens below " + std::to_string(config.n_vocab), std::to_string(token));
  }
  if (text.n_rows != 1 && text.n_rows != n)
    fail_at(text.place, "1 row of logits or " + std::to_string(n) + ", one a token", std::to_string(text.n_rows));
  if (text.n_vocab != config.n_vocab) {
    fail_at(text.place, "rows of " + std::to_string(config.n_vocab) + " logits, the model's vocabulary",
            std::to_string(text.n_vocab));
  }
}

const Json& field(const Json& record, std::string_view key, const std::string& place) {
  const Json* found = record.find(key);
  if (found == nullptr) fail_at(place, "the field \"" + std::string(key) + "\"", record.describe() + " without it");
  return *found;
}

double number(const Json& json, const std::string& place) {
  switch (json.kind) {
    case Json::Kind::integer: return static_cast<double>(json.integer);
    case Json::Kind::unsigned_integer: return static_cast<double>(json.unsigned_integer);
    case Json::Kind::real: return json.real;
    default: fail_at(place, "logits", json.describe());
  }
}

// [...] or [[...], ...]
void take_logits(const Json& json, GoldenText& text) {
  if (json.kind != Json::Kind::array || json.array.empty()) fail_at(text.place, "an array of logits", json.describe());
  const bool nested = json.array[0].kind == Json::Kind::array;
  text.n_rows = nested ? json.array.size() : 1;
  text.n_vocab = nested ? json.array[0].array.size() : json.array.size();
  for (const Json& item : json.array) {
    if (!nested) {
      text.own.push_back(number(item, text.place));
      continue;
    }
    if (item.kind != Json::Kind::array || item.array.size() != text.n_vocab)
      fail_at(text.place, "rows of " + std::to_string(text.n_vocab) + " logits as the first", item.describe());
    for (const Json& value : item.array) text.own.push_back(number(value, text.place));
  }
  text.values = std::as_bytes(std::span(text.own));
}

GoldenText golden_of_line(std::string_view line, const std::string& place, const Config& config) {
  Json json;
  if (const auto fault = read_json(line, json)) {
    fail_at(place + ":" + std::to_string(fault->offset + 1), fault->expected, printable(fault->found, 200));
  }
  GoldenText text;
  text.place = place;
  const Json& tokens = field(json, "tokens", place);
  if (tokens.kind != Json::Kind::array) fail_at(place, "an array of tokens", tokens.describe());
  for (const Json& token : tokens.array) {
    if (token.kind != Json::Kind::integer || token.integer < 0 || token.integer >= config.n_vocab)
      fail_at(place, "tokens below " + std::to_string(config.n_vocab), token.describe());
    text.tokens.push_back(static_cast<int32_t>(token.integer));
  }
  take_logits(field(json, "logits", place), text);
  check_shape(text, config);
  return text;
}

template <class T>
T element(std::span<const std::byte> bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

std::string shape_text(const TensorInfo& tensor) {
  std::string text = tensor.dtype + " [";
  for (size_t i = 0; i < tensor.shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

void take_tokens(const TensorInfo& tensor, std::span<const std::byte> bytes, GoldenText& text, const Config& config) {
  const bool wide = tensor.dtype == "I64";
  if ((!wide && tensor.dtype != "I32") || tensor.shape.size() != 1)
    fail_at(text.place, "tokens I32 or I64 [n]", shape_text(tensor));
  if (tensor.shape[0] > config.n_ctx)
    fail_at(text.place, "at most " + std::to_string(config.n_ctx) + " tokens", std::to_string(tensor.shape[0]));
  for (size_t i = 0; i < tensor.shape[0]; ++i) {
    const int64_t token = wide ? element<int64_t>(bytes, i) : element<int32_t>(bytes, i);
    if (token < 0 || token >= config.n_vocab)
      fail_at(text.place, "tokens below " + std::to_string(config.n_vocab), std::to_string(token));
    text.tokens.push_back(static_cast<int32_t>(token));
  }
}

// Tensors "tokens" and "logits", or many pairs of these with the same ending.
std::vector<GoldenText> golden_of_tensors(std::span<const std::byte> bytes, const std::string& name,
                                          const Config& config) {
  constexpr std::string_view kTokens = "tokens";
  const SafetensorsFile file = parse_safetensors(bytes, name);
  const auto data_of = [&](const TensorInfo& tensor) {
    return bytes.subspan(tensor.begin, tensor.end - tensor.begin);
  };
  std::vector<GoldenText> texts;
  for (const TensorInfo& tokens : file.tensors) {
    if (!tokens.name.starts_with(kTokens)) continue;
    GoldenText text;
    text.place = name + ": " + printable(tokens.name, 200);
    const std::string pair = "logits" + tokens.name.substr(kTokens.size());
    const TensorInfo* logits = file.find(pair);
    if (logits == nullptr) fail_at(text.place, "the tensor \"" + printable(pair, 200) + "\" beside it", "none");
    take_tokens(tokens, data_of(tokens), text, config);
    const size_t rank = logits->shape.size();
    text.is_double = logits->dtype == "F64";
    if ((logits->dtype != "F32" && logits->dtype != "F64") || rank < 1 || rank > 2)
      fail_at(text.place, "logits F32 or F64 [n, n_vocab] or [n_vocab]", shape_text(*logits));
    text.n_rows = rank == 2 ? logits->shape[0] : 1;
    text.n_vocab = logits->shape[rank - 1];
    text.values = data_of(*logits);
    check_shape(text, config);
    texts.push_back(std::move(text));
  }
  return texts;
}

// 8 bytes that are a length, and then JSON.
bool is_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9 || bytes[8] != std::byte{'{'}) return false;
  return element<uint64_t>(bytes, 0) <= bytes.size() - 8;
}

}  // namespace

void GoldenText::read_row(size_t i, std::span<double> logits) const {
  GPT2_CHECK(i < n_rows && logits.size() == n_vocab);
  for (size_t k = 0; k < n_vocab; ++k) {
    const size_t at = i * n_vocab + k;
    logits[k] = is_double ? element<double>(values, at) : static_cast<double>(element<float>(values, at));
    if (!(std::abs(logits[k]) <= std::numeric_limits<float>::max())) {
      fail_at(place, "logits of a float's range",
              json_number(logits[k]) + " in row " + std::to_string(i) + " for token " + std::to_string(k));
    }
  }
}

std::vector<GoldenText> read_golden(std::span<const std::byte> bytes, const std::string& name, const Config& config) {
  if (is_safetensors(bytes)) {
    std::vector<GoldenText> texts = golden_of_tensors(bytes, name, config);
    if (texts.empty()) fail_at(name, "a tensor \"tokens\" and a tensor \"logits\"", "none");
    return texts;
  }
  std::string text(bytes.size(), '\0');
  std::memcpy(text.data(), bytes.data(), bytes.size());
  std::vector<GoldenText> texts;
  uint64_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view record = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (record.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    texts.push_back(golden_of_line(record, name + ":" + std::to_string(line), config));
  }
  if (texts.empty()) fail_at(name, "an object with tokens and logits a line", "none");
  return texts;
}

std::vector<RowDistance> compare_golden(Engine& engine, const GoldenText& text) {
  std::vector<RowDistance> distances;
  std::vector<double> expected(text.n_vocab);
  std::vector<float> rounded(text.n_vocab);
  each_row_logits(engine, text.tokens, [&](size_t row, std::span<const float> logits) {
    const size_t first = text.tokens.size() - text.n_rows;
    if (row < first) return;
    text.read_row(row - first, expected);
    RowDistance distance;
    for (size_t i = 0; i < expected.size(); ++i) {
      distance.difference = std::max(distance.difference, std::abs(expected[i] - static_cast<double>(logits[i])));
      rounded[i] = static_cast<float>(expected[i]);
    }
    const auto [least, most] = std::minmax_element(expected.begin(), expected.end());
    distance.spread = *most - *least;
    distance.same_top = std::max_element(logits.begin(), logits.end()) - logits.begin() ==
                        std::max_element(expected.begin(), expected.end()) - expected.begin();
    distance.kl = kl_divergence(rounded, logits);
    distances.push_back(distance);
  });
  return distances;
}

}  // namespace gpt2
