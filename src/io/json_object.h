// A JSON object under construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/io/json.h"

namespace gpt2 {

class JsonObject {
 public:
  // `value` is JSON already.
  JsonObject& raw(std::string_view key, std::string_view value) {
    if (!text_.empty()) text_ += ',';
    text_.append(json_quote(key)).append(":").append(value);
    return *this;
  }
  JsonObject& string(std::string_view key, std::string_view value) { return raw(key, json_quote(value)); }
  JsonObject& whole(std::string_view key, uint64_t value) { return raw(key, std::to_string(value)); }
  JsonObject& real(std::string_view key, double value) { return raw(key, json_number(value)); }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

}  // namespace gpt2
