// The keys of a config.json, each asked for once by name: what was never asked for is an unknown key. Other formats'
// keys are given as those of a config.json, with the names that messages have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/io/json.h"

namespace gpt2 {

// config.json's keys and what another format calls them.
using KeyNames = std::vector<std::pair<std::string_view, std::string>>;

class ConfigReader {
 public:
  ConfigReader(const Json& json, std::string_view file, const KeyNames& names = {})
      : json_(json), file_(file), names_(names) {}

  std::string_view file() const noexcept { return file_; }
  // What the file calls a key.
  std::string_view name(std::string_view key) const;
  // The value of a known key; nullptr if it is absent or null. Marks the key as known.
  const Json* value(std::string_view key);
  // Whether the key is there, null or not.
  bool has(std::string_view key) const { return json_.find(key) != nullptr; }
  [[noreturn]] void refuse(std::string_view key, std::string_view expected, const Json& found) const;
  std::optional<uint32_t> size(std::string_view key);
  uint32_t required_size(std::string_view key);
  bool flag(std::string_view key, bool otherwise);
  double number(std::string_view key, double otherwise);
  // An error if the key is there with any value that means more than "not used".
  void refuse_if_used(std::string_view key, std::string_view expected);
  // An error unless the flag is `wanted` or absent.
  void require_flag(std::string_view key, bool wanted);
  // The token ids of a number or an array of them that are below n_vocab; nothing for those below 0, which mean
  // "unset".
  std::vector<int32_t> tokens(std::string_view key, uint32_t n_vocab, std::vector<std::string>& warnings);
  // A warning for each key that was not asked for and is not known to say nothing of the arithmetic.
  std::vector<std::string> unknown_keys() const;

 private:
  const Json& json_;
  std::string_view file_;
  KeyNames names_;
  std::vector<std::string_view> known_;
};

// A number as double; nothing if it is none.
std::optional<double> number_of(const Json& json);

}  // namespace gpt2
