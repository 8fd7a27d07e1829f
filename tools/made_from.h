// What a result was made from, as one short key in its line: so that a run that goes on with results knows that they
// are its own.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/engine/speculation.h"
#include "src/model/model.h"
#include "tools/record.h"

namespace gpt2 {

// Values one after the other, each with its length where that varies, so that no two sequences of values are the same
// text.
class HashedValues {
 public:
  HashedValues& add(uint64_t value) {
    text_ += std::to_string(value) + ' ';
    return *this;
  }
  HashedValues& add(float value) { return add(uint64_t{std::bit_cast<uint32_t>(value)}); }
  HashedValues& add(std::string_view value) {
    add(uint64_t{value.size()});
    text_ += value;
    return *this;
  }
  template <class Range>
  HashedValues& add_all(const Range& range) {
    add(uint64_t{range.size()});
    for (const auto& value : range) add_one(value);
    return *this;
  }
  const std::string& text() const noexcept { return text_; }
  uint64_t hash() const;

 private:
  void add_one(int32_t value) { add(static_cast<uint64_t>(value)); }
  void add_one(const TokenBias& value) { add(static_cast<uint64_t>(value.token)).add(value.bias); }
  void add_one(const std::string& value) { add(std::string_view(value)); }

  std::string text_;
};

// Returns what all results of a run have in common, as text: the model's hash, the class of arithmetic, and speculation
// where it draws other texts (Verification::rejection).
std::string run_basis(const Model& model, const EngineOptions& engine, const SpeculationOptions& speculation);

// Returns a hash of the basis, the prompt, the options and, unless the most likely token is always taken, the seed.
// Neither the id nor the index is in it. Of a record that failed: of its text `line`, as far as its options were read.
uint64_t made_from(std::string_view basis, const Record& record, std::string_view line);

}  // namespace gpt2
