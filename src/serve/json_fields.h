// The keys of a request's JSON object by their types. What does not fit is the request's fault: ApiError (400) with the
// key. A null is as good as no key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/sampler.h"
#include "src/io/json.h"
#include "src/text/added_tokens.h"

namespace gpt2 {

class JsonFields {
 public:
  // Throws ApiError unless `json` is an object. It outlives this.
  explicit JsonFields(const Json& json);

  // Returns the value; nullptr for none.
  const Json* find(std::string_view key) const;
  bool flag(std::string_view key, bool otherwise = false) const;
  std::optional<uint64_t> whole(std::string_view key, uint64_t least, uint64_t most) const;
  std::optional<double> real(std::string_view key, double least, double most) const;
  std::optional<std::string> text(std::string_view key) const;
  // A text or an array of texts, none of them empty; empty where there is no key.
  std::vector<std::string> texts(std::string_view key, size_t most) const;
  // Any whole number: those below 0 as their two's complement.
  std::optional<uint64_t> seed(std::string_view key) const;
  // {"ID": X}, |X| <= most.
  std::vector<TokenBias> biases(std::string_view key, uint32_t n_vocab, float most) const;

  [[noreturn]] void refuse(std::string_view key, std::string_view expected, const Json& found) const;

 private:
  const Json& json_;
};

// Returns the ids of an array. Throws ApiError for what is no token of the vocabulary.
std::vector<TokenId> token_ids_of(const Json& array, uint32_t n_vocab, std::string_view key);

}  // namespace gpt2
