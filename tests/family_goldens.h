// The checkpoints of tests/data/family: one of each architecture under its own names and keys, and numpy's float64
// logits of it (scripts/make_family_goldens.py).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json.h"
#include "tests/fixtures.h"

namespace gpt2::test {

struct Golden {
  std::string name, config;
  double deviation = 0;  // of all logits
  const Json* tensors = nullptr;
  std::vector<float> logits;  // [rows, n_vocab]
};

struct Goldens {
  static constexpr size_t kVocab = 37;
  Json json;
  std::vector<int32_t> ids;
  std::vector<size_t> rows;  // the positions that are kept
  std::vector<Golden> cases;

  Goldens();
  // Fails the test if there is none of this name.
  const Golden& of(std::string_view name) const;
};

// The checkpoint with its own configuration, or with another one.
CheckpointFixture checkpoint_of(const Golden& golden);
CheckpointFixture checkpoint_of(const Golden& golden, const std::string& config);
// One with tensors of these names and shapes, whose elements are golden_element()s.
CheckpointFixture checkpoint_of(const std::string& config, const Json& tensors);

// The largest error of the kept rows in units of the logits' deviation; NaN counts as infinite.
double error_of(const Goldens& goldens, const Golden& golden, const Model& model);

// The text with `to` where `from` stood; fails the test if it stands nowhere.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace gpt2::test
