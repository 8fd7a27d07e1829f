#include "src/serve/json_fields.h"

#include <charconv>
#include <cmath>

#include "src/serve/api.h"

namespace gpt2 {
namespace {

[[noreturn]] void refuse_value(std::string_view key, std::string_view expected, std::string_view found) {
  throw ApiError(400, std::string(key) + ": expected " + std::string(expected) + ", found " + std::string(found),
                 std::string(key));
}

std::optional<double> number_of(const Json& json) {
  switch (json.kind) {
    case Json::Kind::integer: return static_cast<double>(json.integer);
    case Json::Kind::unsigned_integer: return static_cast<double>(json.unsigned_integer);
    case Json::Kind::real: return json.real;
    default: return std::nullopt;
  }
}

}  // namespace

JsonFields::JsonFields(const Json& json) : json_(json) {
  if (json.kind != Json::Kind::object) throw ApiError(400, "expected a JSON object, found " + json.describe());
}

const Json* JsonFields::find(std::string_view key) const {
  const Json* found = json_.find(key);
  return found != nullptr && found->kind != Json::Kind::null ? found : nullptr;
}

void JsonFields::refuse(std::string_view key, std::string_view expected, const Json& found) const {
  refuse_value(key, expected, found.describe());
}

bool JsonFields::flag(std::string_view key, bool otherwise) const {
  const Json* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->kind != Json::Kind::boolean) refuse(key, "true or false", *found);
  return found->boolean;
}

std::optional<uint64_t> JsonFields::whole(std::string_view key, uint64_t least, uint64_t most) const {
  const Json* found = find(key);
  if (found == nullptr) return std::nullopt;
  const bool is_whole = found->kind == Json::Kind::unsigned_integer ||
                        (found->kind == Json::Kind::integer && found->integer >= 0);
  const uint64_t value = found->unsigned_integer;
  if (!is_whole || value < least || value > most) {
    refuse(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most), *found);
  }
  return value;
}

std::optional<double> JsonFields::real(std::string_view key, double least, double most) const {
  const Json* found = find(key);
  if (found == nullptr) return std::nullopt;
  const std::optional<double> value = number_of(*found);
  if (!value || !(*value >= least && *value <= most)) {
    refuse(key, "a number from " + json_number(least) + " to " + json_number(most), *found);
  }
  return value;
}

std::optional<std::string> JsonFields::text(std::string_view key) const {
  const Json* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (found->kind != Json::Kind::string) refuse(key, "a string", *found);
  return found->string;
}

std::vector<std::string> JsonFields::texts(std::string_view key, size_t most) const {
  const Json* found = find(key);
  if (found == nullptr) return {};
  std::vector<std::string> texts;
  const bool is_list = found->kind == Json::Kind::array;
  if (is_list && found->array.size() > most) refuse(key, "at most " + std::to_string(most) + " strings", *found);
  for (const Json& one : is_list ? std::span<const Json>(found->array) : std::span(found, 1)) {
    if (one.kind != Json::Kind::string || one.string.empty()) refuse(key, "strings that are not empty", one);
    texts.push_back(one.string);
  }
  return texts;
}

std::optional<uint64_t> JsonFields::seed(std::string_view key) const {
  const Json* found = find(key);
  if (found == nullptr) return std::nullopt;
  if (found->kind == Json::Kind::integer) return static_cast<uint64_t>(found->integer);
  if (found->kind != Json::Kind::unsigned_integer) refuse(key, "a whole number", *found);
  return found->unsigned_integer;
}

std::vector<TokenBias> JsonFields::biases(std::string_view key, uint32_t n_vocab, float most) const {
  const Json* found = find(key);
  if (found == nullptr) return {};
  if (found->kind != Json::Kind::object) refuse(key, "an object of token ids and numbers", *found);
  std::vector<TokenBias> biases;
  for (const Json::Member& member : found->object) {
    const char* const end = member.first.data() + member.first.size();
    uint32_t id = 0;
    const auto parsed = std::from_chars(member.first.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id >= n_vocab) {
      refuse_value(key, "token ids from 0 to " + std::to_string(n_vocab - 1), json_quote(member.first));
    }
    const std::optional<double> bias = number_of(member.second);
    if (!bias || !(std::abs(*bias) <= most)) {
      refuse(key, "numbers from -" + json_number(most) + " to " + json_number(most), member.second);
    }
    biases.push_back({static_cast<int32_t>(id), static_cast<float>(*bias)});
  }
  return biases;
}

std::vector<TokenId> token_ids_of(const Json& array, uint32_t n_vocab, std::string_view key) {
  std::vector<TokenId> ids;
  ids.reserve(array.array.size());
  for (const Json& id : array.array) {
    if (id.kind != Json::Kind::integer || id.integer < 0 || id.integer >= n_vocab) {
      refuse_value(key, "token ids from 0 to " + std::to_string(n_vocab - 1), id.describe());
    }
    ids.push_back(static_cast<TokenId>(id.integer));
  }
  return ids;
}

}  // namespace gpt2
